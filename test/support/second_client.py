#!/usr/bin/env python3
"""A device that shares no code with Bramley: curl, openssl and plistlib; with --scepclient, Debian's SCEP client too.

Takes an enrollment link, enrolls, waits for a push of the stand-in, answers one command, then leaves. Writes one JSON
object a line about each step; exits 0 when all went as a device expects.
"""
import argparse, atexit, base64, hashlib, json, os, shutil, plistlib, re, secrets, subprocess, sys, tempfile, uuid

parser = argparse.ArgumentParser()
for name in ('url', 'ca', 'link', 'apns', 'apns-ca'):
    parser.add_argument('--' + name, required=True)
parser.add_argument('--scepclient', action='store_true', help="get the identity with Debian's scepclient")
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


def local(url):
    return url.replace('https://localhost', 'https://127.0.0.1')


# --- just enough DER for a SCEP message; the cryptography is openssl's
def tlv(tag, *parts):
    body = b''.join(parts)
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8, 'big')
    return bytes([tag]) + length + body


def oid(dotted):
    first, second, *rest = map(int, dotted.split('.'))
    out = bytearray([first * 40 + second])
    for number in rest:
        groups = [number & 127]
        while number := number >> 7:
            groups.insert(0, number & 127 | 128)
        out += bytes(groups)
    return tlv(6, bytes(out))


def children(der):
    """The members of a constructed value, whole."""
    def header(at):
        size, start = der[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7f
            size, start = int.from_bytes(der[start:start + count], 'big'), start + count
        return start, start + size
    position, end = header(0)
    found = []
    while position < end:
        _, after = header(position)
        found.append(der[position:after])
        position = after
    return found


def enroll_by_scep(url, challenge):
    open(path('req.cnf'), 'w').write(f'[req]\nprompt=no\ndistinguished_name=dn\nattributes=attrs\n[dn]\nCN=whatever the device says\n[attrs]\nchallengePassword={challenge}\n')
    run('openssl', 'req', '-new', '-config', path('req.cnf'), '-key', path('device.key'), '-outform', 'DER', '-out', path('csr.der'))
    run('openssl', 'req', '-x509', '-config', path('req.cnf'), '-key', path('device.key'), '-days', '1', '-out', path('self.pem'))
    run('openssl', 'x509', '-in', path('self.pem'), '-outform', 'DER', '-out', path('self.der'))
    ra = next(pem for pem in split_pem(open(path('ca.pem')).read()) if b'CA:TRUE' not in run('openssl', 'x509', '-noout', '-text', stdin=pem.encode()))
    open(path('ra.pem'), 'w').write(ra)
    envelope = run('openssl', 'cms', '-encrypt', '-binary', '-aes256', '-in', path('csr.der'), '-outform', 'DER', path('ra.pem'))

    own = open(path('self.der'), 'rb').read()
    fields = children(children(own)[0])
    start = 1 if fields[0][0] == 0xa0 else 0  # a certificate of version 1 does not say so
    serial, issuer = fields[start], fields[start + 2]
    data, sha256, pki = '1.2.840.113549.1.7.1', tlv(0x30, oid('2.16.840.1.101.3.4.2.1'), tlv(5)), '2.16.840.1.113733.1.9.'
    attribute = lambda name, value: tlv(0x30, oid(name), tlv(0x31, value))
    attributes = b''.join(sorted([
        attribute('1.2.840.113549.1.9.3', oid(data)), attribute('1.2.840.113549.1.9.4', tlv(4, hashlib.sha256(envelope).digest())),
        attribute(pki + '2', tlv(0x13, b'19')), attribute(pki + '7', tlv(0x13, secrets.token_hex(16).encode())), attribute(pki + '5', tlv(4, secrets.token_bytes(16)))]))
    signature = run('openssl', 'dgst', '-sha256', '-sign', path('device.key'), stdin=tlv(0x31, attributes))
    signer = tlv(0x30, tlv(2, b'\x01'), tlv(0x30, issuer, serial), sha256, tlv(0xa0, attributes), tlv(0x30, oid('1.2.840.113549.1.1.1'), tlv(5)), tlv(4, signature))
    signed = tlv(0x30, tlv(2, b'\x01'), tlv(0x31, sha256), tlv(0x30, oid(data), tlv(0xa0, tlv(4, envelope))), tlv(0xa0, own), tlv(0x31, signer))
    message = tlv(0x30, oid('1.2.840.113549.1.7.2'), tlv(0xa0, signed))

    curl('-o', path('rep'), '-H', 'Content-Type: application/x-pki-message', '--data-binary', '@-', f'{url}?operation=PKIOperation', stdin=message)
    run('openssl', 'cms', '-verify', '-inform', 'DER', '-in', path('rep'), '-CAfile', path('ca.pem'), '-purpose', 'any', '-binary', '-out', path('inner'))
    run('openssl', 'cms', '-decrypt', '-inform', 'DER', '-in', path('inner'), '-recip', path('self.pem'), '-inkey', path('device.key'), '-out', path('certs.p7'))
    issued = split_pem(run('openssl', 'pkcs7', '-inform', 'DER', '-in', path('certs.p7'), '-print_certs').decode())
    open(path('device.pem'), 'w').write(issued[0])


def split_pem(text):
    return re.findall('-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n', text, re.S)


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

# --- the identity: by SCEP as RFC 8894 has it, or by Debian's scepclient
run('openssl', 'genrsa', '-traditional', '-out', path('device.key'), '2048')
if args.scepclient:
    run('scepclient', '-server-url', local(scep['PayloadContent']['URL']), '-private-key', path('device.key'), '-certificate', path('device.pem'),
        '-challenge', scep['PayloadContent']['Challenge'], '-cn', 'whatever the device says', env={'SSL_CERT_FILE': args.ca})
else:
    enroll_by_scep(local(scep['PayloadContent']['URL']), scep['PayloadContent']['Challenge'])
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
    url = local(mdm['ServerURL'])
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
