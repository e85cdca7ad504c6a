"""Recorded exchanges that the gateway answers differently on purpose: our status, by reason.

``docs/compatibility.md`` describes them to users.
"""

# The API has no HTML pages except its own documentation.
_PAGES = """
home-after-empty-setting imprint imprint-post privacy favicon
html-jobs html-job html-users html-tags html-status html-systems html-node html-logs html-config
search-empty-user2 search-empty-support search-job-id-user2 search-job-id-support search-project-user2 search-project-support
search-array-user2 search-array-support search-integer-user2 search-integer-support search-two-colons-user2 search-two-colons-support
search-unknown-user2 search-unknown-support search-username-user2 search-username-support search-name-user2 search-name-support
search-text-user2 search-text-support
"""
# Metric data are sent to a metric store, not through the gateway.
_METRIC_STORE = """
write-data write-health feed-write d-write
write-empty write-one write-types write-cluster-parameter write-host-tag write-unknown-metric write-comment write-socket write-syntax
write-garbage write-garbage-metric write-no-fields write-other-field write-string write-bool write-nan write-bad-time
write-nanoseconds write-second-bad write-older write-traversal write-slash write-as-user-api write-as-admin-api
write-refused-support-api write-refused-user write-refused-admin write-refused-none write-get
debug-bad-time debug-host debug-slash debug-cluster debug-unknown debug-post
free-no-to free-to-text free-not-json free-object free-early free-one free-unknown free-empty free-slash
"""
# Every request needs credentials: authentication cannot be disabled.
_NO_CREDENTIALS = """
e-clusters e-list e-get e-metrics e-start e-start-tags e-used e-tag e-meta e-meta-request e-stop e-delete e-users e-config-roles
e-setting e-login e-jobs e-tags e-cluster-names e-create-tag e-node-states e-update-configuration e-user e-nodestate f-start-none
"""
# The answer is a GraphQL error in JSON, and logging out ends the session.
_NOT_SIGNED_IN = """
page-garbage page-expired page-bad-cookie page-bad-token-good-cookie c-unknown-user-page after-logout
"""
# Refused because of a role or address: 403, since the token itself is valid.
_FORBIDDEN = """
list-refused-admin list-refused-user list-refused-user-api list-refused-manager-api list-refused-support-api
nodestate-healthcheck
start-refused-user start-refused-admin start-refused-user-api stop-refused-user nodestate-refused
auth-no-roles auth-empty-roles auth-roles-string auth-roles-unknown auth-roles-case auth-role-admin auth-role-support auth-role-manager
auth-role-user auth-role-user-api auth-role-manager-api auth-role-support-api
d-peer d-real-ip d-forwarded d-forwarded-two d-real-ip-wins
start-tag-private-foreign tag-private-foreign
c-token-roles-ignored c-no-roles-left d-users machine-refused roles-user config-users-user create-user-user config-user-user
delete-user-user notice-user taggers-user userapi-refused-user userapi-refused-manager userapi-refused-support userapi-refused-admin
userapi-no-known-role
"""
# A job or tag that does not exist.
_NOT_FOUND = """
get-unknown get-zero get-negative metrics-unknown-job-bad-body
meta-by-request-unknown meta-by-request-other-cluster delete-by-id-again delete-by-request-again
tag-remove-unknown tag-remove-wrong-scope tags-delete-unknown tags-delete-second-unknown
get-null-resource delete-null-resource get-tag-private-foreign
c-userapi-manager-foreign userapi-get-user-api-5003 userapi-get-manager-api-5001 userapi-post-manager-api
delete-user-query delete-user-multipart delete-user-unknown
machine-get-missing machine-range machine-get-no-json machine-get-empty
frontend-unknown-path-none userapi-unknown-path-none
jobmetrics-unknown-job userapi-metrics-user-api-5003 userapi-metrics-manager-api-5001
"""
# Invalid input.
_BAD_REQUEST = """
start-no-job-id start-negative-job-id start-no-start-time start-dup-no-start-time
start-bad-resources-null-element start-bad-resources-null-element-subcluster
start-bad-shared-word start-bad-shared-empty start-bad-monitoring-status-7 start-bad-monitoring-status-negative
start-tag-null start-tag-empty-names start-tags-shared-word
stop-no-stop-time-start-zero stop-negative-id stop-zero-id stop-state-suspended stop-state-running
tag-null-element tag-remove-null-element tags-delete-null-element tag-empty-names
list-bad-escape auth-roles-admin-api-api
machine-put-no-json machine-put-empty machine-escaped-slash create-user-unknown-role create-user-no-role delete-user-nothing
setting-empty setting-bad-json logs-since-semicolon
jobmetrics-text-id
"""
# A rule about users is violated: nobody can have the role `anonymous`.
_UNPROCESSABLE = "user-add-role-anonymous user-remove-role-anonymous"
# The path exists, but not with this method.
_METHOD = "roles-post notice-get login-put logout-get"
# Accepted, where a quirk of the original caused an error; the second group differs in the body only.
_OK = """
list-no-slash get-slash used-nodes-slash clusters-no-slash
list-status-3-running used-nodes-null-resource
meta-archived-no-meta meta-imported meta-not-archived meta-by-request-not-archived
tag-twice tag-second-fails tag-scope-conflict tag-not-archived tag-remove-not-archived

list-semicolon used-nodes-all stop-state-pending tag-remove-private tag-remove-scope-missing tag-scope-missing tag-admin
get-monitoring-off-all-metrics metrics-monitoring-off get-2-all-metrics-after-empty-list clusters
staged-not-listed staged-not-in-used-nodes
get-tagged-admin tag-remove-one tag-remove-not-attached tag-remove-admin tag-remove-empty-array
get-after-tags-delete list-after-omit-all list-after-omit-user list-after-stops
machine-slash roles-no-slash logout-bad-cookie
config-users-after config-users-special config-users-end taggers userapi-list-manager-api userapi-get-manager-api-5003
jobmetrics-api-refused jobmetrics-no-data userapi-metrics-manager-api-5003 userapi-metrics-api-5001 userapi-metrics-api-5003
api-metrics-foreign nodes-reduction swagger-off
page-home-none e-home
nodestate-empty-object nodestate-null nodestate-unknown-cluster nodestate-empty-host nodestate-null-node nodestate-unknown-host
"""
# An invalid informational field does not cause a refusal. The first of these starts the job, the others repeat its start.
_INFORMS = "start-bad-metadata-number"
_INFORMS_AGAIN = (
    "start-bad-job-state-number start-bad-smt-bool start-bad-smt-negative start-bad-num-acc-negative start-bad-num-hwthreads-negative"
)
# States are accepted in any spelling: the first of these ends the job, so the others are too late.
_ENDED = "stop-bad-state-1"
_ENDED_BEFORE = "stop-bad-state-3 stop-bad-state-4 stop-bad-state-5 stop-bad-state-6 stop-bad-state-7 stop-state-empty"
_CREATED = "start-bad-smt-2 start-tag-private-foreign-again start-tag-conflicting-scope start-tag-twice start-dup-year-earlier f-start"
_DUPLICATE = "start-minimal-repeated-staged"
# A start with a known id and a different time is a new run. A stop before the start ends the job, and a stop that names the start
# takes precedence over one that does not.
_RUNS = "start-dup-1s-later start-dup-86399s-later start-dup-1s-earlier"
_STOPS = "stop-again stop-before-start stop-future-start f-stop"

DIFFERENCES = {
    name: status
    for names, status in (
        (_PAGES, 404),
        (_METRIC_STORE, 404),
        (_NO_CREDENTIALS, 401),
        (_NOT_SIGNED_IN, 401),
        (_FORBIDDEN, 403),
        (_NOT_FOUND, 404),
        (_BAD_REQUEST, 400),
        (_OK, 200),
        (_CREATED, 201),
        (_ENDED, 200),
        (_ENDED_BEFORE, 422),
        (_RUNS, 201),
        (_STOPS, 200),
        (_INFORMS, 201),
        (_INFORMS_AGAIN, 422),
        ("nodestate-cpus-fraction", 200),
        (_DUPLICATE, 422),
        (_UNPROCESSABLE, 422),
        (_METHOD, 405),
        ("taggers-run", 409),  # taggers do not exist
        ("login-limit", 429),
        ("login-redirect-backslash", 302),  # to the home page
        ("playground-off", 301),  # to the page with a slash
    )
    for name in names.split()
}

_SLASH = "a forgotten slash reaches the route that was meant: it would start, stop or delete other jobs than there"

# Requests that are not sent, and why. All others are sent and their answers compared.
NOT_ASKED = {
    "start-bad-slashless": _SLASH,
    "stop-slashless": _SLASH,
    "delete-slashless": _SLASH,
    "logs-ok": "what it answers depends on the journal of the machine",
}

# Jobs that only one of the two servers accepts, or stops.
ONE_SIDED = frozenset(
    """
    fritz/2001/1733211199 fritz/2001/1733211201 fritz/2001/1733297599 fritz/0/1733011860 fritz/-5/1733011920
    fritz/1012/0 fritz/2001/1701675200 fritz/1208/1733014620 fritz/1210/1733014740 fritz/1103/1733013260
    fritz/1101/1733011200
    """.split()
)
