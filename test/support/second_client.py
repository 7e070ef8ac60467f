#!/usr/bin/env python3
"""A device that shares no code with Bramley: curl, openssl, plistlib and Debian's scepclient.

Takes an enrollment link, enrolls, waits for a push of the stand-in, answers one command, then leaves. Writes one JSON
object a line about each step; exits 0 when all went as a device expects.
"""
import argparse, atexit, base64, json, os, shutil, plistlib, secrets, subprocess, sys, tempfile, uuid

parser = argparse.ArgumentParser()
for name in ('url', 'ca', 'link', 'apns', 'apns-ca'):
    parser.add_argument('--' + name, required=True)
args = parser.parse_args()
work = tempfile.mkdtemp(prefix='second-client-')
atexit.register(shutil.rmtree, work)
path = lambda name: os.path.join(work, name)


def tell(step, **facts):
    print(json.dumps({'step': step, **facts}), flush=True)


def run(*command, stdin=None, env=None):
    done = subprocess.run(command, input=stdin, capture_output=True, env={**os.environ, **(env or {})}, timeout=60)
    if done.returncode != 0:
        sys.exit(f'{command[0]} {command[1]}: {done.stderr.decode()}')
    return done.stdout


def curl(*more, stdin=None):
    return run('curl', '-sS', '--fail-with-body', '--cacert', args.ca, *more, stdin=stdin)


# --- the profile: signed by the server's CA, readable by Apple's own format reader
curl('-o', path('profile'), '-D', path('headers'), f'{args.url}/e/{args.link}/profile')
assert 'application/x-apple-aspen-config' in open(path('headers')).read()
curl('-o', path('ca.p7'), f'{args.url}/scep?operation=GetCACert')
run('openssl', 'pkcs7', '-inform', 'DER', '-in', path('ca.p7'), '-print_certs', '-out', path('ca.pem'))
run('openssl', 'cms', '-verify', '-inform', 'DER', '-in', path('profile'), '-CAfile', path('ca.pem'), '-purpose', 'any', '-out', path('profile.plist'))
profile = plistlib.load(open(path('profile.plist'), 'rb'))
payloads = {payload['PayloadType']: payload for payload in profile['PayloadContent']}
mdm, scep = payloads['com.apple.mdm'], payloads['com.apple.security.scep']
assert mdm['IdentityCertificateUUID'] == scep['PayloadUUID'] and mdm['SignMessage'] is True and mdm['CheckOutWhenRemoved'] is True
assert type(profile['PayloadVersion']) is int and scep['PayloadContent']['Keysize'] >= 2048
tell('profile', access_rights=mdm['AccessRights'], topic=mdm['Topic'])

# --- the identity, by a SCEP client of another project
run('openssl', 'genrsa', '-traditional', '-out', path('device.key'), '2048')
run('scepclient', '-server-url', scep['PayloadContent']['URL'].replace('https://localhost', 'https://127.0.0.1'), '-private-key', path('device.key'),
    '-certificate', path('device.pem'), '-challenge', scep['PayloadContent']['Challenge'], '-cn', 'whatever the device says', env={'SSL_CERT_FILE': args.ca})
run('openssl', 'verify', '-CAfile', path('ca.pem'), '-purpose', 'sslclient', path('device.pem'))
subject = run('openssl', 'x509', '-in', path('device.pem'), '-noout', '-subject').decode()
assert 'whatever' not in subject, subject
tell('identity', subject=subject.strip())

# --- check-in
udid = f'00008120-{secrets.token_hex(8).upper()}'
token = json.loads(run('curl', '-sS', '--http2', '--cacert', args.apns_ca, f'https://{args.apns}/simulated/register', '-d', json.dumps({'topic': mdm['Topic']})))['token']
magic = str(uuid.uuid4()).upper()


def put(message, content_type):
    body = plistlib.dumps({**message, 'UDID': udid})
    signature = run('openssl', 'cms', '-sign', '-binary', '-outform', 'DER', '-md', 'sha256', '-signer', path('device.pem'), '-inkey', path('device.key'), stdin=body)
    url = mdm['ServerURL'].replace('https://localhost', 'https://127.0.0.1')
    return curl('-X', 'PUT', '-H', f'Content-Type: {content_type}', '-H', 'Mdm-Signature: ' + base64.b64encode(signature).decode(), '--data-binary', '@-', url, stdin=body)


CHECKIN, REPORT = 'application/x-apple-aspen-mdm-checkin', 'application/x-apple-aspen-mdm; charset=UTF-8'
assert put({'MessageType': 'Authenticate', 'Topic': mdm['Topic'], 'ProductName': 'iPhone15,2', 'OSVersion': '18.0', 'SerialNumber': 'SECONDCLIENT'}, CHECKIN) == b''
assert put({'MessageType': 'TokenUpdate', 'Topic': mdm['Topic'], 'Token': bytes.fromhex(token), 'PushMagic': magic}, CHECKIN) == b''
tell('enrolled', udid=udid)

# --- the push, then the conversation (-T . lets curl read while it still sends)
listener = subprocess.Popen(['curl', '--no-progress-meter', '-N', '--http2', '--cacert', args.apns_ca, '-X', 'POST', '-T', '.', f'https://{args.apns}/simulated/listen'],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
listener.stdin.write(json.dumps({'listen': [token]}).encode() + b'\n')
listener.stdin.flush()
answered = 0
while answered == 0:
    line = json.loads(listener.stdout.readline())
    if 'mdm' not in line:
        tell('listening')
        continue
    assert line == {'token': token, 'mdm': magic}, line
    tell('pushed')
    answer = put({'Status': 'Idle'}, REPORT)
    while answer:
        command = plistlib.loads(answer)
        assert command['Command']['RequestType'] == 'DeviceInformation', command
        answer = put({'Status': 'Acknowledged', 'CommandUUID': command['CommandUUID'], 'QueryResponses': {'DeviceName': 'Second client'}}, REPORT)
        answered += 1
tell('answered', commands=answered)
assert put({'MessageType': 'CheckOut', 'Topic': mdm['Topic']}, CHECKIN) == b''
listener.kill()
tell('left')
