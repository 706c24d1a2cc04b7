"""Sends what Schemathesis makes of a served OpenAPI document, right and wrong, and holds every answer to it.

Flags: --base URL --operator BEARER --client ID:KEY --caller NAME=BEARER... --keep NAME... --examples N --seed S
BEARER is empty for nobody; the client is whom the OAuth endpoints are shown. Of each operation N right and N wrong
requests are sent for each caller. In three of four, names in paths are those of things that exist, as the lists above
them tell, and members of bodies have values that mean something. Nothing whose name is kept is changed or deleted.
Prints {"ok": true, "operations": .., "requests": .., "succeeded": [..], "statuses": {CALLER: {STATUS: ..}}}, with
"ok": false and "failures" where an answer was a 5xx, or one that the document does not tell of: the first of each.
"""

import argparse
import collections
import json
import random
import sys
import urllib.parse
import warnings

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (content_type_conformance, response_headers_conformance,
                                               response_schema_conformance, status_code_conformance)

warnings.filterwarnings("ignore")

HELD_TO = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
           response_headers_conformance]
# Members of answers by which what they are about is named in paths.
NAMES = ("uid", "id", "user_uid", "session_id", "kid")
CHANGES = ("POST", "PUT", "PATCH", "DELETE")
# What comes first is there for the others, and what ends is sent last.
ORDER = ("POST", "PUT", "PATCH", "GET", "DELETE")
# A P-256 point (RFC 7515, appendix A.3).
JWK = {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
       "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
# Values that mean something, by the member's name; `{n}` is another number each time.
WORDS = {
    "uid": ["made-{n}"], "name": ["Name {n}"], "email": ["p{n}@example.com", None], "team_uid": ["acme"],
    "user_uid": ["adam", "made-{n}"], "user": ["adam"], "service_account": ["robot"],
    "role": ["member", "admin", "auditor", "operator"], "teams": [["acme"], []],
    "rights": [["open_runs", "register_principals"], ["register_teams"], ["mint_for_service_accounts"]],
    "audience": ["https://worker-{n}.example.com", "sts.amazonaws.com"],
    "audiences": [["sts.amazonaws.com"]], "items": [[]], "region": ["eu-central-1", None],
    "role_arn": ["arn:aws:iam::111122223333:role/bedrock", None], "expires_in_seconds": [60, 86400],
    "session_duration_seconds": [900, 3600], "lifetime_cap_seconds": [60, 3600], "lifetime_seconds": [60, 300],
    "tokens_max": [1, 100], "allowed_models": [["anthropic.claude-3-haiku-20240307-v1:0"], []],
    "default_model": [None], "small_fast_model": [None], "models": [{"fast": "anthropic.claude-3-haiku-20240307-v1:0"}],
    "base_url": [None], "sts_endpoint": [None], "labels": [{}], "cost_tags": [{}], "session_tag_keys": [[]],
    "address_ranges": [[]], "people_mint": ["anywhere"], "roles_claim": ["required"], "issuer": [
        "https://token.actions.githubusercontent.com", "shared"],
    "jwk": [JWK], "jwks_uri": [None], "jwks": [{"keys": [JWK]}, None],
    "conditions": [[{"claim": "repository_owner_id", "equals": "9919"}]], "reuse": [{"uses": 5, "per_minute": 5}, None],
    "algorithm": ["ES256"], "bits": [None], "dry_run": [True, False], "accept_outage": [True],
    "on_behalf_of": ["service_account:robot"], "disabled": [False], "enrolment_codes": [True],
    "grant_type": ["client_credentials"], "client_assertion": [None], "client_assertion_type": [None],
    "client_id": [None], "client_secret": [None], "scope": [None], "resource": [None], "device": ["laptop"],
}


class Names:
    """Names of things that exist, asked of the lists above them."""

    def __init__(self, base, operator, keep, chance):
        self.base, self.keep, self.chance, self.made = base, keep, chance, 0
        self.session = requests.Session()
        self.session.auth = Bearer(operator)

    def listed(self, path):
        answer = self.session.get(self.base + path, params={"limit": 200}, allow_redirects=False, timeout=30)
        try:
            items = answer.json().get("items", []) if answer.ok else []
        except (ValueError, AttributeError):
            return []
        names = (item.get(name) for item in items if isinstance(item, dict) for name in NAMES)
        return sorted({name for name in names if isinstance(name, str)})

    def fill(self, case):
        """Puts names that exist in the places of those that were made up."""
        path, segments = "", case.operation.path.strip("/").split("/")
        for at, segment in enumerate(segments):
            if segment.startswith("{"):
                name = segment[1:-1]
                ends = case.operation.method.upper() in CHANGES and at == len(segments) - 1
                known = [one for one in self.listed(path) if not (ends and one in self.keep)]
                if known and self.chance.random() < 0.75:
                    case.path_parameters[name] = self.chance.choice(known)
                segment = urllib.parse.quote(str(case.path_parameters.get(name, "")), safe="")
            path += "/" + segment

    def speak(self, case):
        """Puts values that mean something in the places of those that were made up."""
        if not isinstance(case.body, dict) or self.chance.random() < 0.25:
            return
        for name in list(case.body):
            if name not in WORDS:
                continue
            self.made += 1
            word = self.chance.choice(WORDS[name])
            if word is None:
                del case.body[name]
            else:
                case.body[name] = word.replace("{n}", str(self.made)) if isinstance(word, str) else word


class Bearer(requests.auth.AuthBase):
    """Put on last: Schemathesis leaves the header out to see what happens, and nobody is a caller of its own here."""

    def __init__(self, bearer):
        self.bearer = bearer

    def __call__(self, request):
        request.headers.pop("authorization", None)
        if self.bearer:
            request.headers["authorization"] = f"Bearer {self.bearer}"
        return request


def say(failure):
    words = getattr(failure, "message", "") or str(failure)
    return f"{type(failure).__name__}: {getattr(failure, 'title', '')}: {words}"[:1500]


def send(operation, mode, auth, names, flags, told):
    """N requests of one operation in one mode; what is wrong with the first answer with which something is."""
    failures, session = [], requests.Session()
    session.auth = auth

    @seed(flags.seed)
    @settings(max_examples=flags.examples, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def sent(case):
        if failures:
            return
        names.fill(case)
        if mode is GenerationMode.POSITIVE:
            names.speak(case)
        answer = case.call(base_url=flags.base, session=session, allow_redirects=False, timeout=60)
        told[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=HELD_TO)
        except FailureGroup as group:
            failures.extend(say(one) for one in group.exceptions)
        except Failure as failure:
            failures.append(say(failure))
        if answer.status_code == 429:
            failures.append("the limits are in the way")
        if failures:
            failures.append(f"asked: {answer.request.url} {str(answer.request.body)[:400]}")
            failures.append(f"answered: {answer.status_code} {answer.text[:600]}")

    try:
        sent()
    except Exception as fault:  # noqa: BLE001: what could not even be sent is told too
        # Some operations have nothing that could be wrong.
        if "Unsatisfiable" not in type(fault).__name__:
            failures.append(f"not sent: {type(fault).__name__}: {fault}"[:600])
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True)
    parser.add_argument("--operator", required=True)
    parser.add_argument("--client", required=True)
    parser.add_argument("--caller", action="append", required=True)
    parser.add_argument("--keep", action="append", default=[])
    parser.add_argument("--examples", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    document = requests.get(flags.base + "/openapi.json", timeout=30).json()
    names = Names(flags.base, flags.operator, set(flags.keep), random.Random(flags.seed))
    operations = [one.ok() for one in schemathesis.openapi.from_dict(document).get_all_operations()]
    operations.sort(key=lambda one: ORDER.index(one.method.upper()))
    failures, statuses, succeeded = [], {}, set()
    for caller in flags.caller:
        name, bearer = caller.split("=", 1)
        statuses.setdefault(name, collections.Counter())
        for operation in operations:
            client = operation.path.startswith("/oauth2/") and bearer
            auth = requests.auth.HTTPBasicAuth(*flags.client.split(":", 1)) if client else Bearer(bearer)
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                told = collections.Counter()
                found = send(operation, mode, auth, names, flags, told)
                # A client of OAuth proves itself by its own form: what it is told says nothing about the caller.
                statuses.setdefault("client" if client else name, collections.Counter()).update(told)
                if any(200 <= status < 300 for status in told):
                    succeeded.add(operation.label)
                if found:
                    failures.append({"caller": name, "operation": operation.label, "mode": mode.value, "said": found})
    answer = {"ok": not failures, "operations": len(operations),
              "requests": sum(sum(told.values()) for told in statuses.values()), "succeeded": sorted(succeeded),
              "statuses": {name: {str(status): told[status] for status in sorted(told)}
                           for name, told in statuses.items()}}
    if failures:
        answer["failures"] = failures
    json.dump(answer, sys.stdout)


main()
