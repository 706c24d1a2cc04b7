"""Streams one answer through boto3's converse_stream.

Flags: --endpoint-url URL --region R --model ID [--prompt TEXT], and who asks, one of:
  --access-key-id K --secret-access-key S [--session-token T]
  --role-arn ARN --token-file F --sts-endpoint-url URL [--session-name N]   (exchanged by boto3 itself)
  --bearer-token T                                                          (no signature)
Prints {"ok": true, "text", "events", "event_types", "stop_reason", "usage", "arrivals"} or
{"ok": false, "code", "message", "status"}. `arrivals` are the seconds from the request to each event.
"""

import argparse
import json
import os
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def session(arguments):
    if arguments.bearer_token is not None:
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = arguments.bearer_token
        return boto3.Session()
    if arguments.token_file is not None:
        os.environ["AWS_ROLE_ARN"] = arguments.role_arn
        os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"] = arguments.token_file
        os.environ["AWS_ROLE_SESSION_NAME"] = arguments.session_name
        os.environ["AWS_ENDPOINT_URL_STS"] = arguments.sts_endpoint_url
        os.environ["AWS_REGION"] = arguments.region
        return boto3.Session(region_name=arguments.region)
    return boto3.Session(
        aws_access_key_id=arguments.access_key_id,
        aws_secret_access_key=arguments.secret_access_key,
        aws_session_token=arguments.session_token,
    )


def converse(arguments):
    client = session(arguments).client(
        "bedrock-runtime",
        endpoint_url=arguments.endpoint_url,
        region_name=arguments.region,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30),
    )
    started = time.monotonic()
    answer = client.converse_stream(
        modelId=arguments.model,
        messages=[{"role": "user", "content": [{"text": arguments.prompt}]}],
    )
    got = {"ok": True, "text": "", "events": 0, "event_types": [], "stop_reason": None, "usage": None, "arrivals": []}
    for event in answer["stream"]:
        got["arrivals"].append(round(time.monotonic() - started, 4))
        got["events"] += 1
        got["event_types"].extend(event)
        got["text"] += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        got["stop_reason"] = event.get("messageStop", {}).get("stopReason", got["stop_reason"])
        got["usage"] = event.get("metadata", {}).get("usage", got["usage"])
    return got


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint-url", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompt", default="Say something.")
    parser.add_argument("--access-key-id")
    parser.add_argument("--secret-access-key")
    parser.add_argument("--session-token")
    parser.add_argument("--role-arn")
    parser.add_argument("--token-file")
    parser.add_argument("--sts-endpoint-url")
    parser.add_argument("--session-name", default="boto3")
    parser.add_argument("--bearer-token")
    arguments = parser.parse_args()
    if arguments.token_file is not None and not (arguments.role_arn and arguments.sts_endpoint_url):
        parser.error("--token-file needs --role-arn and --sts-endpoint-url")
    if not (arguments.access_key_id or arguments.token_file or arguments.bearer_token):
        parser.error("say who asks: --access-key-id, --token-file or --bearer-token")
    try:
        answer = converse(arguments)
    except ClientError as fault:
        error = fault.response["Error"]
        status = fault.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        answer = {"ok": False, "code": error["Code"], "message": error["Message"], "status": status}
    except BotoCoreError as fault:
        answer = {"ok": False, "code": type(fault).__name__, "message": str(fault), "status": None}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
