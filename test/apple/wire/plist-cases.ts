import type { PlistLimits } from '../../../src/apple/wire/plist.ts'

/** One document and what `decodePlist` makes of it: a value, or the reason of its refusal. */
export type PlistCase = { title: string; document: Buffer } & ({ gives: unknown } | { refused: string })

/** A document made to hurt: too large to be compared, so only its size counts. Built when the test runs. */
export type LargeCase = { title: string; document: () => Buffer; limits?: PlistLimits } &
  ({ size: number } | { refused: string })

export const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" ' +
  '"http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'

/** A document around one element, in Apple's usual frame. */
export function plist(body: string): Buffer {
  return Buffer.from(`${HEAD}<plist version="1.0">${body}</plist>`)
}

const APPLE_DOCTYPE = '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "x">'
const framed = (frame: string) => Buffer.from(`${frame}<plist version="1.0"><true/></plist>`)
const value = (title: string, body: string, gives: unknown): PlistCase => ({ title, document: plist(body), gives })
const refusal = (title: string, body: string, refused: string): PlistCase => ({ title, document: plist(body), refused })
const whole = (title: string, text: string | Buffer, refused: string): PlistCase =>
  ({ title, document: Buffer.from(text), refused })

const dataCases: PlistCase[] = [
  value('data with white space in it', '<data>\n AAEC\n\t/w== </data>', Buffer.from('000102ff', 'hex')),
  value('data in a CDATA section', '<data><![CDATA[AAEC]]></data>', Buffer.from('000102', 'hex')),
  value('empty data', '<array><data></data><data/></array>', [Buffer.alloc(0), Buffer.alloc(0)]),
  value('data of one character a line', '<data>A\nA\nE\nC\n</data>', Buffer.from('000102', 'hex')),
  refusal('data that is no base64', '<data>!!!not base64</data>', 'data'),
  refusal('data without its padding', '<data>AAE</data>', 'data'),
  refusal('data with three paddings', '<data>A===</data>', 'data'),
  refusal('data with a group of padding', '<data>AAAA====</data>', 'data'),
  refusal('data that goes on after its padding', '<data>AA==AAEC</data>', 'data'),
  refusal('data in the URL alphabet', '<data>__-_</data>', 'data'),
  refusal('data with a no-break space', '<data>AAEC\u00A0</data>', 'data'),
]

const dateCases: PlistCase[] = [
  value('a date', '<date>2026-11-22T05:37:00Z</date>', new Date('2026-11-22T05:37:00Z')),
  value("Apple's distant past", '<date>0001-01-01T00:00:00Z</date>', new Date('0001-01-01T00:00:00Z')),
  value('a date between line ends', '<date>\n2024-02-29T23:59:59Z\n</date>', new Date('2024-02-29T23:59:59Z')),
  refusal('a date in words', '<date>yesterday</date>', 'date'),
  refusal('a day that does not exist', '<date>2026-02-30T00:00:00Z</date>', 'date'),
  refusal('an hour that does not exist', '<date>2026-01-01T24:00:00Z</date>', 'date'),
  refusal('a date with every part too large', '<date>2026-99-99T25:61:61Z</date>', 'date'),
  refusal('a date with an offset', '<date>2026-01-01T00:00:00+01:00</date>', 'date'),
  refusal('an empty date', '<date/>', 'date'),
]

const numberCases: PlistCase[] = [
  value('the last exact whole number', '<integer>9007199254740991</integer>', 9007199254740991),
  value('the first beyond it', '<integer>9007199254740993</integer>', 9007199254740993n),
  value('the largest integer', '<integer>18446744073709551615</integer>', 18446744073709551615n),
  value('the smallest integer', '<integer>-9223372036854775808</integer>', -9223372036854775808n),
  value('hexadecimal', '<array><integer>0xFF</integer><integer>-0x10</integer></array>', [255, -16]),
  value('64 bits in hexadecimal', '<integer>0xFFFFFFFFFFFFFFFF</integer>', 18446744073709551615n),
  value('signs and leading zeros', '<array><integer>+7</integer><integer>007</integer></array>', [7, 7]),
  value('minus zero, an integer', '<integer>-0</integer>', 0),
  value('an integer between spaces', '<integer> 7\n</integer>', 7),
  refusal('one above the largest integer', '<integer>18446744073709551616</integer>', 'integer'),
  refusal('one below the smallest integer', '<integer>-9223372036854775809</integer>', 'integer'),
  refusal('an integer of 26 digits', '<integer>99999999999999999999999999</integer>', 'integer'),
  refusal('an integer that ends in letters', '<integer>12abc</integer>', 'integer'),
  refusal('an integer with a fraction', '<integer>1.0</integer>', 'integer'),
  refusal('an integer with a no-break space', '<integer>1\u00A0</integer>', 'integer'),
  refusal('an empty integer', '<integer/>', 'integer'),
  value('reals', '<array><real>0.5</real><real>1e-3</real><real>-.5</real></array>', [0.5, 0.001, -0.5]),
  value('reals that are no number', '<array><real>nan</real><real>+infinity</real><real>-inf</real></array>',
    [NaN, Infinity, -Infinity]),
  value('a whole real', '<real>128</real>', 128),
  refusal('a real in hexadecimal', '<real>0x10</real>', 'real'),
  refusal('a real with two points', '<real>1.2.3</real>', 'real'),
  refusal('an empty real', '<real/>', 'real'),
]

const textCases: PlistCase[] = [
  value('the five entities and references',
    '<string>&lt;a&gt; &amp; &quot;q&quot; &apos;s&apos; &#8217; &#x1F600;</string>',
    '<a> & "q" \'s\' \u2019 \u{1F600}'),
  value('entities that are expanded once', '<string>&amp;lt; &#38;lt;</string>', '&lt; &lt;'),
  value('an entity in a key', '<dict><key>a&amp;b</key><string>1</string></dict>', { 'a&b': '1' }),
  value('CDATA beside text', '<string><![CDATA[<b>&amp;]]> x</string>', '<b>&amp; x'),
  value('CDATA as a key', '<dict><key><![CDATA[UDID]]></key><string>1</string></dict>', { UDID: '1' }),
  value('spaces, kept', '<string> a\n\tb </string>', ' a\n\tb '),
  value('empty strings', '<array><string></string><string/></array>', ['', '']),
  value('every line end as a line feed', '<string>a\r\nb\rc&#13;</string>', 'a\nb\nc\r'),
  value('text beyond Latin-1', '<string>M\u00FCller \u4E2D\u6587 \u{1F600}</string>',
    'M\u00FCller \u4E2D\u6587 \u{1F600}'),
  refusal('entities of HTML', '<string>&nbsp;x</string>', 'entity'),
  refusal('a reference to U+0000', '<string>a&#0;b</string>', 'entity'),
  refusal('a reference to a surrogate', '<string>&#xD83D;</string>', 'entity'),
  refusal('a reference beyond Unicode', '<string>&#x110000;</string>', 'entity'),
  refusal('a bare ampersand', '<string>AT&T</string>', 'entity'),
  refusal('an entity without an end', '<string>&amp</string>', 'entity'),
  refusal('an entity named like a property of objects', '<string>&toString;</string>', 'entity'),
  refusal('an escape character', '<string>a\u001B[31m</string>', 'character'),
  refusal('U+0000', '<string>a\u0000b</string>', 'character'),
  refusal('U+FFFE', '<string>\uFFFE</string>', 'character'),
  refusal('a control character in a comment', '<!-- \u0008 --><true/>', 'character'),
]

const commentCases: PlistCase[] = [
  value('comments in a dict', '<dict><!-- <key>x</key> --><key>a</key><!-- c --><string>1</string></dict>', { a: '1' }),
  value('a comment in a string', '<string>ab<!-- c -->cd</string>', 'abcd'),
  value('a comment in a key', '<dict><key>a<!--x-->b</key><string>1</string></dict>', { ab: '1' }),
  value('a comment that begins a key', '<dict><key><!--evil-->UDID</key><string>1</string></dict>', { UDID: '1' }),
  value('a comment in an integer', '<integer><!--5-->7</integer>', 7),
  value('processing instructions', '<?a b?><array><?c?><true/></array><?d?>', [true]),
  refusal('two dashes in a comment', '<!-- a -- b --><true/>', 'xml'),
  refusal('a comment that ends in --!', '<!-- a --!<true/>', 'xml'),
  refusal('a comment of HTML', '<!--><true/>', 'xml'),
  refusal('a second XML declaration', '<?xml version="1.0"?><true/>', 'xml'),
]

const structureCases: PlistCase[] = [
  value('empty containers', '<array><array/><array></array><dict/><dict></dict></array>', [[], [], {}, {}]),
  value('booleans, long and short', '<array><true/><true></true><false/><false> </false></array>',
    [true, true, false, false]),
  value('spaces in tags', '<array ><string >a</string\n></array\t>', ['a']),
  value('keys of objects as data', '<dict><key>constructor</key><true/><key>toString</key><true/></dict>',
    Object.fromEntries([['constructor', true], ['toString', true]])),
  refusal('a duplicate key', '<dict><key>UDID</key><true/><key>UDID</key><false/></dict>', 'duplicate_key'),
  refusal('a duplicate key spelled otherwise',
    '<dict><key>a</key><true/><key>&#97;</key><true/></dict>', 'duplicate_key'),
  refusal('__proto__', '<dict><key>__proto__</key><dict><key>admin</key><true/></dict></dict>', 'key'),
  refusal('__proto__ in two pieces', '<dict><key>__pro<!---->to__</key><dict/></dict>', 'key'),
  refusal('__proto__ after a comment', '<dict><key><!--x-->__proto__</key><dict/></dict>', 'key'),
  refusal('a key without a value', '<dict><key>a</key></dict>', 'xml'),
  refusal('two keys in a row', '<dict><key>a</key><key>b</key></dict>', 'xml'),
  refusal('a value without a key', '<dict><string>a</string></dict>', 'xml'),
  refusal('a key in an array', '<array><key>a</key></array>', 'xml'),
  refusal('text in a dict', '<dict>junk<key>a</key><true/></dict>', 'xml'),
  refusal('text in an array', '<array><true/>junk</array>', 'xml'),
  refusal('text in a boolean', '<true>no</true>', 'xml'),
  refusal('an element in a string', '<string><b>x</b></string>', 'xml'),
  refusal('tags that do not match', '<dict><key>a</key><string>x</integer></dict>', 'xml'),
  refusal('a closing tag that only begins alike', '<string>x</strings>', 'xml'),
  refusal('a container closed as the other', '<array></dict>', 'xml'),
  refusal('an attribute', '<string xml:space="preserve">x</string>', 'xml'),
  refusal('an unknown element', '<set><true/></set>', 'xml'),
  refusal('an element in capitals', '<TRUE/>', 'xml'),
  refusal('two roots', '<string>a</string><string>b</string>', 'xml'),
  refusal('no root', '', 'xml'),
]

const documentCases: PlistCase[] = [
  { title: 'a byte order mark', gives: 'x',
    document: Buffer.concat([Buffer.from('\uFEFF'), plist('<string>x</string>')]) },
  { title: 'no declaration and no DOCTYPE', document: framed(''), gives: true },
  { title: "Apple's older DOCTYPE", gives: true,
    document: framed('<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://example.org/x.dtd">') },
  { title: 'a DOCTYPE in single quotes', gives: true,
    document: framed("<?xml version='1.0'?>\n<!DOCTYPE plist\n PUBLIC '-//Apple//DTD PLIST 1.0//EN' 'a>b' >") },
  { title: 'a declaration of US-ASCII', document: framed('<?xml version="1.0" encoding="us-ascii"?>'), gives: true },
  { title: 'comments around the frame', gives: true,
    document: framed(`<?xml version="1.0"?><!-- a -->${APPLE_DOCTYPE}<!-- b -->\n`) },
  { title: 'a plist without its version', gives: true,
    document: Buffer.from('<plist ><true/></plist >\n<!-- end -->\n') },
  whole('nothing', '', 'root'),
  whole('white space', ' \n', 'root'),
  whole('HTML', '<html><body>x</body></html>', 'root'),
  whole('JSON', '{"UDID":"x"}', 'root'),
  whole('a truncated document', `${HEAD}<plist version="1.0"><dict><key>a</key><string>x`, 'xml'),
  whole('a document without its last tag', `${HEAD}<plist version="1.0"><true/>`, 'xml'),
  whole('content after the end', `${HEAD}<plist version="1.0"><true/></plist><evil/>`, 'root'),
  whole('an empty plist tag', '<plist version="1.0"/>', 'root'),
  whole('another version of plist', '<plist version="0.9"><true/></plist>', 'root'),
  whole('another attribute of plist', '<plist version="1.0" x="y"><true/></plist>', 'root'),
  whole('a declaration after a space', framed(' <?xml version="1.0"?>'), 'xml'),
  whole('a broken declaration', framed('<?xml version="1.0" encoding=UTF-8?>'), 'xml'),
  whole('a declaration of Latin-1', framed('<?xml version="1.0" encoding="ISO-8859-1"?>'), 'charset'),
  whole('Latin-1 that claims UTF-8', Buffer.from(plist('<string>\u00E9</string>').toString(), 'latin1'), 'charset'),
  whole('bytes that are no UTF-8', Buffer.concat([Buffer.from('<plist>'), Buffer.from('fffec0', 'hex')]), 'charset'),
  whole('a surrogate in UTF-8', Buffer.concat([Buffer.from('<plist>'), Buffer.from('eda080', 'hex')]), 'charset'),
  whole('UTF-16 with its mark', Buffer.from(`\uFEFF${plist('<true/>').toString()}`, 'utf16le'), 'charset'),
  whole('UTF-16 without its mark', Buffer.from(plist('<true/>').toString(), 'utf16le'), 'character'),
  whole('a binary plist', Buffer.from('62706c697374303009080000000000000101000000', 'hex'), 'bplist'),
]

const doctypeCases: PlistCase[] = [
  whole('an entity in the DOCTYPE', framed('<!DOCTYPE plist [<!ENTITY x "expanded">]>'), 'doctype'),
  whole('an entity from a file', framed('<!DOCTYPE plist [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), 'doctype'),
  whole("an internal subset after Apple's words", framed(APPLE_DOCTYPE.replace('>', ' [<!ENTITY x "y">]>')), 'doctype'),
  whole('an empty internal subset', framed(APPLE_DOCTYPE.replace('>', ' []>')), 'doctype'),
  whole('a DOCTYPE without an identifier', framed('<!DOCTYPE plist>'), 'doctype'),
  whole('a DOCTYPE by its address only', framed('<!DOCTYPE plist SYSTEM "http://example.org/x.dtd">'), 'doctype'),
  whole("somebody else's DOCTYPE", framed(APPLE_DOCTYPE.replace('Apple', 'Evil')), 'doctype'),
  whole('a DOCTYPE of another root', framed(APPLE_DOCTYPE.replace('plist', 'html')), 'doctype'),
  whole('two DOCTYPEs', framed(APPLE_DOCTYPE + APPLE_DOCTYPE), 'root'),
  whole('a DOCTYPE longer than any', framed(APPLE_DOCTYPE.replace('"x"', `"${'x'.repeat(600)}"`)), 'doctype'),
]

/** Small documents, compared exactly. */
export const plistCases: readonly PlistCase[] = [
  ...dataCases, ...dateCases, ...numberCases, ...textCases, ...commentCases, ...structureCases, ...documentCases,
  ...doctypeCases,
]

/** Documents that make careless parsers slow, deep or fat. */
export const largeCases: readonly LargeCase[] = [
  { title: '10 000 arrays in each other', document: () => nested(10_000), refused: 'depth' },
  { title: '200 000 arrays in each other', document: () => nested(200_000), refused: 'depth' },
  { title: '65 arrays in each other', document: () => nested(65), refused: 'depth' },
  { title: '64 arrays in each other', document: () => nested(64), size: 1 },
  { title: '64 arrays around an empty one', document: () => nested(64, '<array/>'), size: 1 },
  { title: '100 001 values', document: () => integers(100_000), refused: 'limit' },
  { title: '100 000 values', document: () => integers(99_999), size: 99_999 },
  { title: '100 000 keys', document: () => keys(100_000), limits: { maxNodes: 100_001 }, size: 100_000 },
  { title: 'a megabyte of ampersands', document: () => repeated('string', '&', 1e6), refused: 'entity' },
  { title: '200 000 entities', document: () => repeated('string', '&amp;', 2e5), size: 2e5 },
  { title: '200 000 comments in a string', document: () => repeated('string', '<!---->', 2e5), size: 0 },
  { title: '100 000 CDATA sections', document: () => repeated('string', '<![CDATA[x]]>', 1e5), size: 1e5 },
  { title: 'a megabyte of carriage returns', document: () => repeated('string', '\r', 1e6), size: 1e6 },
  { title: 'a megabyte of "<"', document: () => Buffer.alloc(1e6, '<'), refused: 'root' },
  { title: '200 000 unclosed comments', document: () => repeated('dict', '<!--', 2e5), refused: 'xml' },
  { title: 'a megabyte of spaces in an integer', document: () => repeated('integer', ' ', 1e6), refused: 'integer' },
  { title: 'a megabyte of spaces in <plist', refused: 'root',
    document: () => Buffer.from(`<plist${' '.repeat(1e6)}x`) },
  { title: 'a megabyte of spaces in a tag', document: () => plist(`<true${' '.repeat(1e6)}x`), refused: 'xml' },
  { title: 'a megabyte of base64', document: () => repeated('data', 'AAAA', 25e4), size: 75e4 },
  { title: 'base64 with a space after each character', document: () => repeated('data', 'A ', 5e5), size: 375e3 },
  { title: 'a billion laughs', document: laughs, refused: 'doctype' },
  { title: 'quadratic blow-up', document: quadratic, refused: 'doctype' },
]

function nested(depth: number, inner = '<true/>'): Buffer {
  return plist('<array>'.repeat(depth) + inner + '</array>'.repeat(depth))
}

function integers(count: number): Buffer {
  return plist(`<array>${'<integer>1</integer>'.repeat(count)}</array>`)
}

function keys(count: number): Buffer {
  return plist(`<dict>${Array.from({ length: count }, (_, i) => `<key>k${i}</key><true/>`).join('')}</dict>`)
}

function repeated(element: string, part: string, count: number): Buffer {
  return plist(`<${element}>${part.repeat(count)}</${element}>`)
}

function laughs(): Buffer {
  const entities = Array.from({ length: 11 }, (_, i) => `<!ENTITY a${i + 1} "${`&a${i};`.repeat(10)}">`).join('')
  return Buffer.from(`<!DOCTYPE plist [<!ENTITY a0 "lol">${entities}]><plist><string>&a11;</string></plist>`)
}

function quadratic(): Buffer {
  const entity = `<!ENTITY x "${'A'.repeat(50_000)}">`
  return Buffer.from(`<!DOCTYPE plist [${entity}]><plist><string>${'&x;'.repeat(20_000)}</string></plist>`)
}
