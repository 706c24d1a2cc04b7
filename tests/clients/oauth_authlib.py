"""Completes the machine flows with Authlib, which finds everything by the issuer URL (RFC 8414).

Flags: --issuer URL --client-id ID --secret KEY --key FILE [--kid K] [--subject-token T]
FILE is a P-256 private key in PEM. Prints {"ok": true, "metadata": ..., "tokens": {...}} with what each flow answered
("revoked" among them, whose token was given up), or {"ok": false, "error": CODE, "message": ...}.
"""

import argparse
import json
import os
import pathlib
import time

# Plain http is for loopback issuers of tests.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from joserfc.jwk import ECKey


class Assertion(PrivateKeyJWT):
    """For the issuer, a minute long: Authlib names the token endpoint and an hour unless told otherwise."""

    alg = "ES256"

    def sign(self, auth, token_endpoint):
        self.claims = {"exp": int(time.time()) + 60}
        return super().sign(auth, token_endpoint)


def flows(flags):
    answer = requests.get(get_well_known_url(flags.issuer, external=True), allow_redirects=False, timeout=120)
    answer.raise_for_status()
    metadata = AuthorizationServerMetadata(answer.json())
    # An authorization endpoint is asked for only where a grant uses one.
    for rule in ["issuer", "token_endpoint", "jwks_uri", "response_types_supported", "grant_types_supported",
                 "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
                 "revocation_endpoint", "revocation_endpoint_auth_methods_supported"]:
        if rule not in ("issuer", "token_endpoint", "jwks_uri", "revocation_endpoint"):
            getattr(metadata, f"validate_{rule}")()
    if metadata["issuer"] != flags.issuer:
        raise ValueError("the metadata names another issuer")
    endpoint, revocation = metadata["token_endpoint"], metadata["revocation_endpoint"]

    def session(method, secret):
        made = OAuth2Session(flags.client_id, secret, token_endpoint_auth_method=method,
                             revocation_endpoint_auth_method=method)
        headers = {"kid": flags.kid} if flags.kid else None
        made.register_client_auth_method(Assertion(metadata["issuer"], headers=headers))
        return made

    key = ECKey.import_key(pathlib.Path(flags.key).read_text())
    signed = session("private_key_jwt", key)
    ask = {"grant_type": "client_credentials"}
    tokens = {
        "basic": session("client_secret_basic", flags.secret).fetch_token(endpoint, **ask),
        "post": session("client_secret_post", flags.secret).fetch_token(endpoint, **ask),
        "private_key_jwt": signed.fetch_token(endpoint, **ask),
        "revoked": session("private_key_jwt", key).fetch_token(endpoint, **ask),
    }
    for hint in [None, "access_token"]:
        gone = signed.revoke_token(revocation, token=tokens["revoked"]["access_token"], token_type_hint=hint)
        gone.raise_for_status()
    if flags.subject_token:
        kind = "urn:ietf:params:oauth:token-type:jwt"
        tokens["exchanged"] = session("none", None).fetch_token(
            endpoint, grant_type="urn:ietf:params:oauth:grant-type:token-exchange", subject_token=flags.subject_token,
            subject_token_type=kind)
    return {"ok": True, "metadata": metadata, "tokens": tokens}


def main():
    parser = argparse.ArgumentParser()
    for name in ["issuer", "client-id", "secret", "key"]:
        parser.add_argument(f"--{name}", required=True)
    for name in ["kid", "subject-token", "audience"]:
        parser.add_argument(f"--{name}")
    try:
        answer = flows(parser.parse_args())
    except AuthlibBaseError as fault:
        answer = {"ok": False, "error": fault.error, "message": fault.description}
    except (requests.RequestException, ValueError) as fault:
        answer = {"ok": False, "error": type(fault).__name__, "message": str(fault)}
    print(json.dumps(answer))


main()
