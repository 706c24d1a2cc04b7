"""Exchanges a token for a session with boto3, then asks STS who the session is.

Flags: --endpoint-url URL --region R --role-arn ARN --session-name N (--token T | --token-file F)
[--duration S] [--policy JSON]. Prints {"ok": true, …} or {"ok": false, "code", "message", "status"}.
"""

import argparse
import json

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def sts(arguments, credentials=None):
    # AssumeRoleWithWebIdentity is called without a signature: nobody has credentials yet.
    settings = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 30}
    if credentials is None:
        settings["signature_version"] = UNSIGNED
    signed = credentials and {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }
    return boto3.client(
        "sts",
        endpoint_url=arguments.endpoint_url,
        region_name=arguments.region,
        config=Config(**settings),
        **(signed or {}),
    )


def assume(arguments):
    token = arguments.token
    if token is None:
        with open(arguments.token_file, encoding="ascii") as file:
            token = file.read().strip()
    request = {
        "RoleArn": arguments.role_arn,
        "RoleSessionName": arguments.session_name,
        "WebIdentityToken": token,
    }
    if arguments.duration is not None:
        request["DurationSeconds"] = arguments.duration
    if arguments.policy is not None:
        request["Policy"] = arguments.policy
    answer = sts(arguments).assume_role_with_web_identity(**request)
    credentials = answer["Credentials"]
    identity = sts(arguments, credentials).get_caller_identity()
    return {
        "ok": True,
        "credentials": {**credentials, "Expiration": credentials["Expiration"].isoformat()},
        "assumed_role_arn": answer["AssumedRoleUser"]["Arn"],
        "subject": answer.get("SubjectFromWebIdentityToken"),
        "audience": answer.get("Audience"),
        "provider": answer.get("Provider"),
        "source_identity": answer.get("SourceIdentity"),
        "packed_policy_size": answer.get("PackedPolicySize"),
        "caller": {name: identity[name] for name in ("Arn", "Account", "UserId")},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint-url", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--role-arn", required=True)
    parser.add_argument("--session-name", required=True)
    token = parser.add_mutually_exclusive_group(required=True)
    token.add_argument("--token")
    token.add_argument("--token-file")
    parser.add_argument("--duration", type=int)
    parser.add_argument("--policy")
    try:
        answer = assume(parser.parse_args())
    except ClientError as fault:
        error = fault.response["Error"]
        status = fault.response["ResponseMetadata"]["HTTPStatusCode"]
        answer = {"ok": False, "code": error["Code"], "message": error["Message"], "status": status}
    except BotoCoreError as fault:
        answer = {"ok": False, "code": type(fault).__name__, "message": str(fault), "status": None}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
