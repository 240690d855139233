import pytest

from eatool.dev.faults import Answer, Drop, Rule, Rules, Silence
from eatool.dev.traffic import Request, RequestLog

APPLICATIONS = "/apis/eatool.io/v1/namespaces/shop/applications"


@pytest.mark.parametrize(
    ("method", "path", "query", "expected", "template"),
    [
        ("GET", APPLICATIONS, {}, ("list", "applications", ""),
         "/apis/eatool.io/v1/namespaces/{namespace}/applications"),
        ("GET", APPLICATIONS, {"watch": "true"}, ("watch", "applications", ""),
         "/apis/eatool.io/v1/namespaces/{namespace}/applications"),
        ("GET", "/apis/eatool.io/v1/applications", {"watch": "0"}, ("list", "applications", ""),
         "/apis/eatool.io/v1/applications"),
        ("PATCH", f"{APPLICATIONS}/crm/status", {}, ("patch", "applications", "status"),
         "/apis/eatool.io/v1/namespaces/{namespace}/applications/{name}/status"),
        ("DELETE", f"{APPLICATIONS}/crm", {}, ("delete", "applications", ""),
         "/apis/eatool.io/v1/namespaces/{namespace}/applications/{name}"),
        ("DELETE", APPLICATIONS, {}, ("deletecollection", "applications", ""),
         "/apis/eatool.io/v1/namespaces/{namespace}/applications"),
        ("GET", "/api/v1/namespaces/shop", {}, ("get", "namespaces", ""),
         "/api/v1/namespaces/{name}"),
        ("PUT", "/api/v1/namespaces/shop/finalize", {}, ("update", "namespaces", "finalize"),
         "/api/v1/namespaces/{name}/finalize"),
        ("POST", "/api/v1/namespaces/shop/serviceaccounts/bot/token", {},
         ("create", "serviceaccounts", "token"),
         "/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"),
        ("GET", "/apis/eatool.io/v1", {}, ("get", "", ""), "/apis/eatool.io/v1"),
        ("GET", "/readyz", {}, ("get", "", ""), "/readyz"),
    ],
)  # fmt: skip
def test_requests_are_classified_as_the_api_server_does(
    method: str, path: str, query: dict[str, str], expected: tuple[str, str, str], template: str
) -> None:
    request = Request.parse(method, path, query)

    assert (request.verb, request.resource, request.subresource) == expected
    assert request.template == template


def test_counts_can_be_narrowed_to_a_resource_and_a_client() -> None:
    log = RequestLog()
    for agent in ("kopf", "kopf", "kubectl/v1"):
        log.append(Request.parse("GET", APPLICATIONS, {}, agent))
    log.append(Request.parse("GET", "/api/v1/pods", {}, "kopf"))
    log.append(Request.parse("GET", "/readyz", {}, "kopf"))

    assert log.counts() == {("list", "applications", ""): 3, ("list", "pods", ""): 1}
    assert log.counts(resource="applications", user_agent="kopf") == {
        ("list", "applications", ""): 2
    }
    log.clear()
    assert not log.counts()


def test_the_first_matching_rule_wins_until_it_is_used_up() -> None:
    rules = Rules()
    first = rules.add(Rule(Answer(409), method="PATCH", times=2))
    rules.add(Rule(Drop()))
    patch = Request.parse("PATCH", f"{APPLICATIONS}/crm", {})
    get = Request.parse("GET", f"{APPLICATIONS}/crm", {})

    faults = [rules.strike(request) for request in (patch, get, patch, patch)]

    assert faults == [Answer(409), Drop(), Answer(409), Drop()]
    assert first.hits == 2
    rules.clear()
    assert rules.strike(patch) is None


def test_faults_of_watches_leave_other_requests_alone() -> None:
    rule = Rule(Silence())

    assert not rule.matches(Request.parse("GET", APPLICATIONS, {}))
    assert rule.matches(Request.parse("GET", APPLICATIONS, {"watch": "1"}))
