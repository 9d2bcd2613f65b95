# cmake -DSOURCE=<console> -DOUTPUT=<file.c> -P EmbedConsole.cmake
# The files of the console as C: gateway/console_files.h says what is made of them.
file(GLOB_RECURSE names LIST_DIRECTORIES false RELATIVE ${SOURCE} ${SOURCE}/*)
list(FILTER names EXCLUDE REGEX "(^|/)\\.|~$|[.](orig|rej|swp|tmp|md)$")
list(SORT names)

set(types
  html=text/html css=text/css js=text/javascript mjs=text/javascript
  svg=image/svg+xml png=image/png ico=image/x-icon json=application/json woff2=font/woff2)

set(arrays "")
set(rows "")
set(count 0)
foreach(name IN LISTS names)
  if(name MATCHES "[^A-Za-z0-9._/-]")
    message(FATAL_ERROR "console/${name}: only letters, digits and . _ - in names, please")
  endif()
  string(REGEX MATCH "[A-Za-z0-9]+$" ending "${name}")
  set(type text/plain)
  foreach(row IN LISTS types)
    if(row MATCHES "^${ending}=(.*)$")
      set(type "${CMAKE_MATCH_1}")
    endif()
  endforeach()
  if(type MATCHES "^text/")
    string(APPEND type "; charset=utf-8")
  endif()
  set(path "/${name}")
  if(name STREQUAL "index.html")
    set(path "/")
  elseif(name STREQUAL "login.html")
    set(path "/login")
  endif()
  file(READ ${SOURCE}/${name} hex HEX)
  file(SIZE ${SOURCE}/${name} size)
  file(SHA256 ${SOURCE}/${name} digest)
  string(SUBSTRING ${digest} 0 24 digest)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  # One more byte: an empty array is no C.
  string(APPEND arrays "static const unsigned char f${count}[] = {\n${bytes}0};\n")
  string(APPEND rows "    {\"${path}\", \"${type}\", \"\\\"${digest}\\\"\", f${count}, ${size}},\n")
  math(EXPR count "${count} + 1")
endforeach()
if(count EQUAL 0)
  message(FATAL_ERROR "${SOURCE} has no files")
endif()

file(WRITE ${OUTPUT} "/* Made of console/ by cmake/EmbedConsole.cmake. */
#include \"gateway/console_files.h\"

${arrays}
const struct console_file console_files[] = {
${rows}};
const size_t console_files_n = ${count};
")
