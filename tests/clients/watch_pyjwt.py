"""Verifies a stream of tokens with PyJWT, as a relying party does that runs for long and keeps what it fetched.

Flags: --audience A --max-age SECONDS [--hold COPIES]. Reads {"id", "issuer", "token"} a line and answers each with
{"id", "ok": true, "kid"} or {"id", "ok": false, "kid", "error": CLASS, "message"}.

Without --hold the cache is PyJWT's own: a kid that it does not know makes it fetch again. With --hold it keeps COPIES
copies of each issuer's JWKS, each for exactly max-age and not a moment less whatever a token says, their ages evenly
apart; a token holds only if it holds under every one of them.
"""

import argparse
import json
import queue
import sys
import threading
import time

import jwt
import requests

ASKED = {"require": ["exp", "nbf", "iat", "aud", "iss", "sub", "jti"], "strict_aud": True}
# A minute of tries, a twentieth of a second apart.
TRIES = 1200


def fetched(issuer):
    """The JWKS as it is now. A proxy that has just lost an upstream is asked again: that is no verdict on a token."""
    for _ in range(TRIES):
        try:
            answer = requests.get(f"{issuer}/.well-known/jwks.json", timeout=10, allow_redirects=False)
            if answer.status_code == 200:
                return jwt.PyJWKSet.from_dict(answer.json())
        except requests.RequestException:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"{issuer} publishes nothing")


class Copy:
    """One copy of a JWKS, fetched anew every max-age by a thread of its own."""

    def __init__(self, issuer, max_age, wait):
        self.issuer, self.max_age = issuer, max_age
        self.renewed = threading.Condition()
        self.keys, self.due = fetched(issuer), time.monotonic() + max_age
        threading.Thread(target=self.keep, args=(wait,), daemon=True).start()

    def keep(self, wait):
        # The first renewal comes early, so that the copies' ages differ from then on.
        due = time.monotonic() + wait
        while True:
            time.sleep(max(0.0, due - time.monotonic()))
            # Counted from before the fetch.
            due = time.monotonic() + self.max_age
            keys = fetched(self.issuer)
            with self.renewed:
                self.keys, self.due = keys, due
                self.renewed.notify_all()

    def key(self, kid):
        with self.renewed:
            # No copy older than max-age judges: a renewal that is late is waited for.
            if not self.renewed.wait_for(lambda: time.monotonic() <= self.due, timeout=120):
                raise TimeoutError("the keys were not renewed within two minutes")
            keys = self.keys.keys
        for key in keys:
            if key.key_id == kid:
                return key
        raise jwt.PyJWKClientError(f"kid {kid} is not in the copy held")


class Held:
    """Copies of evenly spread ages."""

    def __init__(self, issuer, max_age, copies):
        self.copies = [Copy(issuer, max_age, max_age * (at + 1) / copies) for at in range(copies)]

    def keys(self, kid):
        return [copy.key(kid) for copy in self.copies]


class Own:
    """PyJWT's own cache."""

    def __init__(self, issuer, max_age):
        self.client = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json", lifespan=max_age, timeout=10)

    def keys(self, kid):
        for _ in range(TRIES):
            try:
                return [self.client.get_signing_key(kid)]
            except jwt.PyJWKClientConnectionError:
                time.sleep(0.05)
        raise TimeoutError("nothing is published")


def judge(asked, verifiers, arguments):
    issuer, token = asked["issuer"], asked["token"]
    answer = {"id": asked["id"], "ok": False, "kid": None}
    try:
        answer["kid"] = jwt.get_unverified_header(token)["kid"]
        if issuer not in verifiers:
            hold = arguments.hold
            verifiers[issuer] = Held(issuer, arguments.max_age, hold) if hold else Own(issuer, arguments.max_age)
        for key in verifiers[issuer].keys(answer["kid"]):
            algorithms = [key.algorithm_name]
            jwt.decode(token, key, algorithms, options=ASKED, audience=arguments.audience, issuer=issuer)
        answer["ok"] = True
    except (jwt.PyJWTError, requests.RequestException, TimeoutError, KeyError, ValueError) as fault:
        answer.update(error=type(fault).__name__, message=str(fault))
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audience", required=True)
    parser.add_argument("--max-age", type=float, required=True)
    parser.add_argument("--hold", type=int, default=0)
    arguments = parser.parse_args()
    # Lines are taken off the pipe at once, so that whoever writes them never waits for a verdict.
    lines = queue.SimpleQueue()

    def read():
        for line in sys.stdin:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    verifiers = {}
    while (line := lines.get()) is not None:
        print(json.dumps(judge(json.loads(line), verifiers, arguments)), flush=True)


if __name__ == "__main__":
    main()
