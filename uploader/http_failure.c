/* One table: see http_failure.h. */
#include "uploader/http_failure.h"

#include "base/rc.h"

static const struct {
    const char *code, *remedy;
} rows[] = {
    [HTTP_NO_FAILURE] = {"", "it is tried again"},
    [HTTP_NAME_NOT_FOUND] = {"NameNotFound",
                             "the store's name cannot be resolved; check \"bucket.endpoint\", "
                             "\"bucket.region\" and this machine's name servers"},
    [HTTP_PROXY_NOT_FOUND] = {"ProxyNotFound",
                              "the proxy's name cannot be resolved; check https_proxy, http_proxy "
                              "and all_proxy, or name the store in no_proxy"},
    [HTTP_PROXY_REFUSED] = {"ProxyRefused",
                            "the proxy does not let us through to the store; have it allowed "
                            "there, put the login into the proxy variable, or name the store in "
                            "no_proxy"},
    [HTTP_NOT_CONNECTED] = {"NotConnected",
                            "nothing takes connections there; check \"bucket.endpoint\" (host and "
                            "port), that the store runs, the firewall and the proxy variables"},
    [HTTP_CONNECT_TIMEOUT] = {"ConnectTimeout",
                              "the store's address does not answer; check \"bucket.endpoint\", "
                              "firewall, routes and whether a proxy is needed"},
    [HTTP_TLS_FAILED] = {"TlsFailed",
                         "no TLS connection comes about; check that the port speaks TLS (else "
                         "write http:// in \"bucket.endpoint\") and which versions it offers"},
    [HTTP_CERTIFICATE_UNKNOWN] = {"CertificateUnknown",
                                  "the store's certificate is signed by nobody we know; set "
                                  "\"bucket.ca_file\" to the CA that signed it"},
    [HTTP_CERTIFICATE_EXPIRED] = {"CertificateExpired",
                                  "the store's certificate has expired; have it renewed there, and "
                                  "check this machine's clock"},
    [HTTP_CERTIFICATE_NOT_YET_VALID] = {"CertificateNotYetValid",
                                        "the store's certificate is not valid yet; check this "
                                        "machine's clock and the store's"},
    [HTTP_CERTIFICATE_OTHER_NAME] = {"CertificateOtherName",
                                     "the store's certificate is for another name; write the name "
                                     "that it has in \"bucket.endpoint\", or have a certificate "
                                     "made for this one"},
    [HTTP_CERTIFICATE_BAD] = {"CertificateBad",
                              "the store's certificate cannot be accepted; have it replaced there"},
    [HTTP_CA_FILE_BAD] = {"CaFileBad",
                          "\"bucket.ca_file\" cannot be used; it has to be readable by us and hold "
                          "certificates in PEM form"},
    [HTTP_NOT_HTTP] = {"NotHttp", "what answers there does not speak HTTP; check the port in "
                                  "\"bucket.endpoint\", and https:// where the store speaks TLS"},
    [HTTP_CONNECTION_LOST] = {"ConnectionLost",
                              "the connection ended before the answer was whole; it is tried "
                              "again, and if this stays look at what stands between"},
    [HTTP_NO_ANSWER] = {"NoAnswer", "the store took the request and said nothing; it is tried "
                                    "again, and if this stays look at the store"},
    [HTTP_STALLED] = {"Stalled", "bytes stopped flowing; it is tried again, and if this stays look "
                                 "at the network or lower \"uploads\""},
};
_Static_assert(sizeof rows / sizeof rows[0] == HTTP_FAILURE_COUNT_, "a row for each failure");

const char *http_failure_code(enum http_failure f)
{
    BUG_ON(f >= HTTP_FAILURE_COUNT_);
    return rows[f].code;
}

const char *http_failure_remedy(enum http_failure f)
{
    BUG_ON(f >= HTTP_FAILURE_COUNT_);
    return rows[f].remedy;
}

enum http_failure http_failure_of_certificate(long verify)
{
    switch (verify) {
    case 0:
    case 1: /* curl compares the name before it asks for OpenSSL's verdict */
        return HTTP_CERTIFICATE_OTHER_NAME;
    case 9:
        return HTTP_CERTIFICATE_NOT_YET_VALID;
    case 10:
        return HTTP_CERTIFICATE_EXPIRED;
    case 2:  /* no issuer certificate */
    case 18: /* self-signed */
    case 19: /* self-signed in the chain */
    case 20: /* no issuer certificate here */
    case 21: /* the first one cannot be verified */
        return HTTP_CERTIFICATE_UNKNOWN;
    default:
        return HTTP_CERTIFICATE_BAD;
    }
}
