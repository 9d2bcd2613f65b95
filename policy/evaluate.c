/* The decision, three-valued from end to end: a "maybe" of one part of one statement is a "maybe"
 * of the whole only where it would change the answer. */
#include "policy/evaluate.h"

#include "policy/condition.h"
#include "policy/pattern.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const decisions[EVALUATE_COUNT_] = {"allowed", "denied", "not-allowed",
                                                       "unknown"};

const char *evaluate_decision_name(enum evaluate_decision d)
{
    BUG_ON((unsigned)d >= EVALUATE_COUNT_);
    return decisions[d];
}

const char *evaluate_part_name(enum evaluate_part p)
{
    static const char *const names[] = {NULL,     "statement", "principal",
                                        "action", "resource",  "condition"};
    return names[p];
}

/* ---- who ---- */

/* The requester, taken apart: "arn:aws:iam::111122223333:role/path/name". */
struct who {
    const char *arn, *account, *name; /* name: without the path; "" of an account */
    size_t account_n;
    bool role;
    const char *session, *canonical;
};

static struct who who_of(const struct evaluate_request *r)
{
    struct who w = {
        .arn = "", .account = "", .name = "", .session = r->session, .canonical = r->canonical};
    if (!r->principal)
        return w;
    const char *at = w.arn = r->principal;
    for (int colons = 0; *at && colons < 5; at++) {
        colons += *at == ':';
        if (colons == 4 && *at == ':')
            w.account = at + 1;
        if (colons == 5)
            w.account_n = (size_t)(at - w.account);
    }
    w.role = strncmp(at, "role/", 5) == 0;
    if (w.role || strncmp(at, "user/", 5) == 0)
        w.name = strrchr(at, '/') + 1;
    return w;
}

static bool same_account(const struct who *w, const char *account, size_t n)
{
    return w->arn[0] != '\0' && w->account_n == n && memcmp(w->account, account, n) == 0;
}

/* "arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION" against a role's session. */
static enum tri is_session(const struct who *w, const char *resource,
                           struct context_unknown *unknown)
{
    const char *name = resource + strlen("assumed-role/"), *slash = strchr(name, '/');
    if (!w->role || !slash || strlen(w->name) != (size_t)(slash - name) ||
        memcmp(name, w->name, (size_t)(slash - name)) != 0)
        return TRI_NO;
    if (w->session)
        return strcmp(slash + 1, w->session) == 0 ? TRI_YES : TRI_NO;
    context_note(unknown, "name of the session of role", w->name);
    return TRI_MAYBE;
}

/* Which of the requester's names a text is. */
enum named { NOBODY, EVERYBODY, ITS_ACCOUNT, ITSELF, ITS_SESSION };

static enum tri is_named(const struct who *w, const char *text, enum named *as,
                         struct context_unknown *unknown)
{
    static const char session[] = "assumed-role/";
    size_t n = strspn(text, "0123456789");
    *as = NOBODY;
    if (strcmp(text, "*") == 0) {
        *as = EVERYBODY;
        return TRI_YES;
    }
    if (text[n] == '\0' && n == 12) {
        *as = ITS_ACCOUNT;
        return same_account(w, text, n) ? TRI_YES : TRI_NO;
    }
    struct evaluate_request r = {.principal = text};
    struct who other = who_of(&r);
    const char *resource = other.account + other.account_n;
    if (strncmp(text, "arn:", 4) != 0 || *resource != ':') {
        if (strncmp(text, "AIDA", 4) == 0 || strncmp(text, "AROA", 4) == 0)
            return TRI_NO; /* what S3 shows of a user or a role that was deleted */
        context_note(unknown, "principal", text);
        return TRI_MAYBE;
    }
    resource++;
    if (strcmp(resource, "root") == 0) {
        *as = ITS_ACCOUNT;
        return same_account(w, other.account, other.account_n) ? TRI_YES : TRI_NO;
    }
    if (strncmp(resource, session, strlen(session)) == 0) {
        *as = ITS_SESSION;
        return same_account(w, other.account, other.account_n) ? is_session(w, resource, unknown)
                                                               : TRI_NO;
    }
    *as = ITSELF;
    return strcmp(text, w->arn) == 0 ? TRI_YES : TRI_NO;
}

/* What a Principal or NotPrincipal says of the requester by each of its names. */
struct naming {
    enum tri everybody, account, itself, session;
};

static void name_by(struct naming *n, enum named as, enum tri t)
{
    enum tri *const of[] = {[EVERYBODY] = &n->everybody,
                            [ITS_ACCOUNT] = &n->account,
                            [ITSELF] = &n->itself,
                            [ITS_SESSION] = &n->session};
    if (as != NOBODY)
        *of[as] = tri_or(*of[as], t);
    else if (t == TRI_MAYBE)
        n->itself = tri_or(n->itself, t);
}

static struct naming naming_of(const struct who *w, const json_t *principal,
                               struct context_unknown *unknown)
{
    struct naming n = {TRI_NO, TRI_NO, TRI_NO, TRI_NO};
    const char *kind;
    json_t *list;
    enum named as;
    if (json_is_string(principal)) {
        n.everybody = TRI_YES;
        return n;
    }
    json_object_foreach((json_t *)principal, kind, list)
    {
        for (size_t i = 0; i < statements_count(list); i++) {
            const char *text = statements_text(list, i);
            if (strcmp(kind, "AWS") == 0) {
                enum tri t = is_named(w, text, &as, unknown);
                name_by(&n, as, t);
            } else if (strcmp(kind, "CanonicalUser") == 0 && w->arn[0] != '\0') {
                enum tri t = TRI_MAYBE;
                if (w->canonical)
                    t = strcmp(w->canonical, text) == 0 ? TRI_YES : TRI_NO;
                else
                    context_note(unknown, "canonical user id", text);
                name_by(&n, ITS_ACCOUNT, t);
            } /* services and federated users are others than roles and users */
        }
    }
    return n;
}

static enum tri principal_of(const struct statement *s, const struct who *w,
                             struct context_unknown *unknown)
{
    struct context_unknown own = {0};
    struct naming n = naming_of(w, s->principal, &own);
    enum tri any = tri_or(tri_or(n.everybody, n.account), tri_or(n.itself, n.session));
    enum tri result = any;
    if (s->not_principal) {
        /* IAM User Guide, "NotPrincipal": whom it spares must be named as itself, as its account
         * and, a role, as its session too; whoever is only half named may be denied. KNOWN: whoever
         * has a permissions boundary is denied though he is named, and that is not known here. */
        enum tri all = tri_and(n.account, w->name[0] ? n.itself : TRI_YES);
        if (w->role)
            all = tri_and(all, n.session);
        all = tri_or(all, n.everybody);
        result = any == TRI_NO ? TRI_YES : all == TRI_YES ? TRI_NO : TRI_MAYBE;
        if (result == TRI_MAYBE)
            context_note(&own, "NotPrincipal",
                         "that names the account, the role or the session, "
                         "not all three");
    }
    if (result == TRI_MAYBE && unknown->what[0] == '\0')
        *unknown = own;
    return result;
}

/* ---- what ---- */

static enum tri action_of(const struct statement *s, const char *action)
{
    bool any = false;
    for (size_t i = 0; i < statements_count(s->action); i++)
        any = any || pattern_action(statements_text(s->action, i), action);
    return any != s->not_action ? TRI_YES : TRI_NO;
}

static enum tri resource_of(const struct statement *s, bool variables,
                            const struct evaluate_request *r, struct context_unknown *unknown)
{
    enum tri any = TRI_NO;
    unsigned kind = PATTERN_WILDCARDS | (variables ? PATTERN_VARIABLES : 0u);
    struct context_unknown own = {0};
    for (size_t i = 0; i < statements_count(s->resource) && any != TRI_YES; i++) {
        struct pattern p;
        const char *text = statements_text(s->resource, i);
        enum tri one = pattern_init(&p, text, kind, &r->context, &own);
        if (one == TRI_YES) {
            one = pattern_matches_arn(&p, r->resource);
            if (one == TRI_MAYBE)
                context_note(&own, "resource", text);
        }
        pattern_fini(&p);
        any = tri_or(any, one);
    }
    if (any == TRI_MAYBE && unknown->what[0] == '\0')
        *unknown = own;
    return s->not_resource ? tri_not(any) : any;
}

void evaluate_statement(const struct statements *policy, size_t i, const struct evaluate_request *r,
                        struct evaluate_parts *out)
{
    const struct statement *s = &policy->at[i];
    struct who w = who_of(r);
    struct condition_why why;
    *out = (struct evaluate_parts){0};
    out->principal = principal_of(s, &w, &out->unknown);
    out->action = action_of(s, r->action);
    out->resource = resource_of(s, policy->variables, r, &out->unknown);
    out->condition = condition_holds(s->condition, policy->variables, &r->context, &why);
    if (out->unknown.what[0] == '\0' && out->condition == TRI_MAYBE)
        out->unknown = why.unknown;
    memcpy(out->failed, why.failed, sizeof out->failed);
}

/* ---- the decision ---- */

static void say(struct evaluate_result *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct evaluate_result *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(out->reason, sizeof out->reason, fmt,
                    args); /* its parts are bounded: it fits */
    va_end(args);
}

static enum tri applies(const struct evaluate_parts *p)
{
    return tri_and(tri_and(p->principal, p->action), tri_and(p->resource, p->condition));
}

static int lacks(const struct evaluate_parts *p)
{
    return (p->principal == TRI_NO) + (p->action == TRI_NO) + (p->resource == TRI_NO) +
           (p->condition == TRI_NO);
}

/* The first part that fails. */
static enum evaluate_part first_lack(const struct evaluate_parts *p)
{
    return p->principal == TRI_NO  ? EVALUATE_PRINCIPAL
           : p->action == TRI_NO   ? EVALUATE_ACTION
           : p->resource == TRI_NO ? EVALUATE_RESOURCE
                                   : EVALUATE_CONDITION;
}

static void say_nearest(const struct statements *policy, const struct evaluate_request *r,
                        const char *failed, struct evaluate_result *out)
{
    struct statements_label label = {""};
    char action[64], resource[160], who[160];
    (void)context_show(action, sizeof action, r->action);
    (void)context_show(resource, sizeof resource, r->resource);
    (void)context_show(who, sizeof who, r->principal ? r->principal : "everybody");
    if (out->statement >= 0)
        (void)statements_label(policy, (size_t)out->statement, &label);
    switch (out->missing) {
    case EVALUATE_PRINCIPAL:
        say(out, "%s allows it to others: its Principal lacks %s", label.text, who);
        break;
    case EVALUATE_ACTION:
        say(out, "%s allows other actions: its Action lacks %s", label.text, action);
        break;
    case EVALUATE_RESOURCE:
        say(out, "%s allows it elsewhere: its Resource lacks %s", label.text, resource);
        break;
    case EVALUATE_CONDITION:
        say(out, "%s allows it under a condition that fails: %s", label.text, failed);
        break;
    default:
        say(out, "no statement allows %s on %s to %s", action, resource, who);
    }
}

/* The Allow that lacks one thing only; of several the one whose lack is mended most easily, by the
 * order of enum evaluate_part backwards. */
static void nearest(const struct statements *policy, const struct evaluate_request *r,
                    struct evaluate_result *out)
{
    struct evaluate_parts p, best = {0};
    out->missing = EVALUATE_STATEMENT;
    for (size_t i = 0; i < policy->n; i++) {
        if (!policy->at[i].allow)
            continue;
        evaluate_statement(policy, i, r, &p);
        if (lacks(&p) == 1 && first_lack(&p) > out->missing) {
            out->missing = first_lack(&p);
            out->statement = (int)i;
            best = p;
        }
    }
    say_nearest(policy, r, best.failed, out);
}

/* The first statement with that effect that applies, or may, and how sure that is. */
static enum tri strongest(const struct statements *policy, const struct evaluate_request *r,
                          bool allow, int *statement, struct evaluate_parts *parts)
{
    enum tri best = TRI_NO;
    for (size_t i = 0; i < policy->n && best != TRI_YES; i++) {
        struct evaluate_parts p;
        if (policy->at[i].allow != allow)
            continue;
        evaluate_statement(policy, i, r, &p);
        if (applies(&p) > best) {
            best = applies(&p);
            *statement = (int)i;
            *parts = p;
        }
    }
    return best;
}

void evaluate(const struct statements *policy, const struct evaluate_request *r,
              struct evaluate_result *out)
{
    struct evaluate_parts deny_parts, allow_parts;
    struct statements_label label;
    int deny_at = -1, allow_at = -1;
    enum tri deny = strongest(policy, r, false, &deny_at, &deny_parts);
    enum tri allow = strongest(policy, r, true, &allow_at, &allow_parts);
    *out = (struct evaluate_result){.statement = -1};
    if (deny == TRI_YES) {
        out->decision = EVALUATE_DENIED;
        out->statement = deny_at;
        say(out, "%s denies it", statements_label(policy, (size_t)deny_at, &label));
    } else if (allow == TRI_NO) {
        out->decision = EVALUATE_NOT_ALLOWED;
        nearest(policy, r, out);
    } else if (deny == TRI_MAYBE || allow == TRI_MAYBE) {
        const struct evaluate_parts *p = deny == TRI_MAYBE ? &deny_parts : &allow_parts;
        out->decision = EVALUATE_UNKNOWN;
        out->statement = deny == TRI_MAYBE ? deny_at : allow_at;
        memcpy(out->key, p->unknown.what, sizeof out->key);
        say(out, "cannot tell whether %s %s it: %s",
            statements_label(policy, (size_t)out->statement, &label),
            deny == TRI_MAYBE ? "denies" : "allows", p->unknown.what);
    } else {
        out->decision = EVALUATE_ALLOWED;
        out->statement = allow_at;
        say(out, "%s allows it", statements_label(policy, (size_t)allow_at, &label));
    }
}
