/* Why no answer came, as a word for machines and the one thing to look at. Pure; http.c, the only
 * file that knows curl's codes, says which it is.
 */
#ifndef UPLOADER_HTTP_FAILURE_H
#define UPLOADER_HTTP_FAILURE_H

enum http_failure {
    HTTP_NO_FAILURE, /* an answer came, or the call ended for a reason that is not the network's */
    HTTP_NAME_NOT_FOUND,
    HTTP_PROXY_NOT_FOUND,
    HTTP_PROXY_REFUSED,
    HTTP_NOT_CONNECTED, /* refused or unreachable */
    HTTP_CONNECT_TIMEOUT,
    HTTP_TLS_FAILED, /* no common protocol or cipher, or no TLS there */
    HTTP_CERTIFICATE_UNKNOWN,
    HTTP_CERTIFICATE_EXPIRED,
    HTTP_CERTIFICATE_NOT_YET_VALID,
    HTTP_CERTIFICATE_OTHER_NAME,
    HTTP_CERTIFICATE_BAD,
    HTTP_CA_FILE_BAD, /* ours */
    HTTP_NOT_HTTP,
    HTTP_CONNECTION_LOST, /* and whatever else went wrong on it */
    HTTP_NO_ANSWER,       /* connected and sent, but no byte came in time */
    HTTP_STALLED,
    HTTP_FAILURE_COUNT_
};

/* "NameNotFound", "CertificateExpired", …: what stands where S3's error code would, "" for
 * HTTP_NO_FAILURE. */
const char *http_failure_code(enum http_failure f);
/* The remedy, no full stop. */
const char *http_failure_remedy(enum http_failure f);

/* Which of the certificate's it is. verify: OpenSSL's X509_V_ERR_* number, see
 * X509_STORE_CTX_get_error(3); X509_V_OK: the certificate is good, but the name is another. */
enum http_failure http_failure_of_certificate(long verify);

#endif
