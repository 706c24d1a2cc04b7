"""Verifies a token with PyJWT, its key found through PyJWT's own JWKS client.

Flags: --token T --audience A --issuer URL [--jwks-uri URL]. Without --jwks-uri the issuer's discovery document
is read. Prints {"ok": true, "header": …, "claims": …} or {"ok": false, "error": CLASS, "message": …}.
"""

import argparse
import json

import jwt
import requests


def jwks_uri(issuer):
    answer = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=120, allow_redirects=False)
    answer.raise_for_status()
    document = answer.json()
    if document["issuer"] != issuer:
        raise jwt.InvalidIssuerError(f"discovery names {document['issuer']!r}")
    return document["jwks_uri"]


def verify(arguments):
    uri = arguments.jwks_uri or jwks_uri(arguments.issuer)
    key = jwt.PyJWKClient(uri, timeout=120).get_signing_key_from_jwt(arguments.token)
    verified = jwt.decode_complete(
        arguments.token,
        key,
        # The algorithm that the published key names, and never one that the token alone asks for.
        algorithms=[key.algorithm_name],
        audience=arguments.audience,
        issuer=arguments.issuer,
        options={"require": ["exp", "nbf", "iat", "aud", "iss", "sub", "jti"], "strict_aud": True},
    )
    return {"ok": True, "header": verified["header"], "claims": verified["payload"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--token", required=True)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--audience", required=True)
    parser.add_argument("--jwks-uri")
    try:
        answer = verify(parser.parse_args())
    except (jwt.PyJWTError, requests.RequestException, KeyError, ValueError) as fault:
        answer = {"ok": False, "error": type(fault).__name__, "message": str(fault)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
