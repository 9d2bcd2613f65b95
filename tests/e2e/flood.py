#!/usr/bin/python3
# run-on: devstore minio
# takes: long
"""Files made at full speed, each in its own new directory: none is missed, none differs, and no
rescan has to find what the events should have told."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

COUNT = int(os.environ.get("FLOOD_FILES") or 5000)

# The producers are shells: what a user would write.
RENAME = r'''
for i in $(seq $1); do
  d="$2/Panoptica/findings/$3/acct-$i/"; mkdir -p "$d"
  printf '{"id":%d,"how":"rename"}\n' $i > "$d.tmp-$i"; mv "$d.tmp-$i" "$d/f-$i.ndjson"
done'''
IN_PLACE = r'''
for i in $(seq $1); do
  d="$2/Panoptica/audit/$3/acct-$i/"; mkdir -p "$d"
  printf '{"id":%d,"how":"in place"}\n' $i > "$d/f-$i.ndjson"
done'''
APPENDED = r'''
for i in $(seq $1); do
  d="$2/Panoptica/attack_paths/$3/acct-$i/"; mkdir -p "$d"
  printf '{"id":%d,"how":"first' $i >> "$d/f-$i.ndjson"
  printf ' and second"}\n' >> "$d/f-$i.ndjson"
done'''


def flood(script, event_type, line):
    dropped = Dropped()
    for i in range(1, COUNT + 1):
        dropped.add(f"Panoptica/{event_type}/{TODAY}/acct-{i}/f-{i}.ndjson", line(i).encode())
    with store() as bucket, Gateway(bucket, {"limits": {"min_free_percent": 0}}) as gateway:
        start = time.monotonic()
        subprocess.run(["bash", "-c", script, "producer", str(COUNT), gateway.root, TODAY], check=True)
        made = time.monotonic()
        gateway.wait_idle(180)
        done = time.monotonic()
        # A rescan now would find whatever was missed.
        rescans = gateway.status()["watcher"]["rescans"]
        gateway.api("POST", "/v1/rescan")
        check(wait_until(lambda: gateway.status()["watcher"]["rescans"] > rescans, 60), "a rescan ran")
        gateway.wait_idle()
        status = gateway.status()
        check_equal(status["watcher"]["drift"], 0, "files that a rescan had to find")
        check_equal(status["since_start"]["delivered_files"], COUNT, "files delivered")
        check_equal(status["files"]["rejected"], 0, "files rejected")
        compare(bucket, dropped)
        print(f"  {COUNT} files in {COUNT} new directories: made in {made - start:.1f} s, "
              f"all stored {done - made:.1f} s later, overflows {status['watcher']['overflows']}, "
              f"drift {status['watcher']['drift']}")


def renamed_into_new_directories():
    flood(RENAME, "findings", lambda i: f'{{"id":{i},"how":"rename"}}\n')


def written_in_place_in_new_directories():
    flood(IN_PLACE, "audit", lambda i: f'{{"id":{i},"how":"in place"}}\n')


def appended_in_two_steps_in_new_directories():
    flood(APPENDED, "attack_paths", lambda i: f'{{"id":{i},"how":"first and second"}}\n')


run_tests([renamed_into_new_directories, written_in_place_in_new_directories,
           appended_in_two_steps_in_new_directories])
