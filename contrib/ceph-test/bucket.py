"""Make the bucket as its owner, and store and remove an object, once the gateway answers: it does
both within seconds of its start or not at all.   bucket.py NAME, with `up`'s env"""

import os
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"],
                  region_name=os.environ["AWS_DEFAULT_REGION"],
                  aws_access_key_id=os.environ["OWNER_ACCESS_KEY_ID"],
                  aws_secret_access_key=os.environ["OWNER_SECRET_ACCESS_KEY"],
                  config=Config(connect_timeout=2, read_timeout=3, retries={"max_attempts": 0},
                                s3={"addressing_style": "path"}))
end = time.monotonic() + 60
while True:
    try:
        s3.create_bucket(Bucket=sys.argv[1])
        s3.put_object(Bucket=sys.argv[1], Key="first", Body=b"")
        s3.delete_object(Bucket=sys.argv[1], Key="first")
        break
    except (BotoCoreError, ClientError) as error:
        if time.monotonic() > end:
            sys.exit(f"bucket.py: {error}")
        time.sleep(0.1)
