import { contentOf, enter, readDer, rest } from '../../../src/apple/wire/der.ts'
import { tlv } from '../../../src/apple/wire/der-writer.ts'
import { toDer } from '../../../src/apple/wire/ber.ts'
import { below, pick, type Random } from './plist-generator.ts'

const ODD_BYTES = [0x00, 0x01, 0x04, 0x24, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x82, 0x84, 0x88, 0xa0, 0xff] as const

/** One value of a message, its content as bytes or as further values. */
interface Node {
  tag: number
  content: Buffer
  children: Node[] | undefined
}

/** A message with one to three things wrong: in its bytes, or in its values with the lengths around them made right. */
export function mutate(random: Random, message: Buffer): Buffer {
  let mutant = message
  for (let i = below(random, 3); i >= 0; i--)
    mutant = below(random, 2) === 0 ? mutateBytes(random, mutant) : mutateValues(random, mutant)
  return mutant
}

function mutateBytes(random: Random, message: Buffer): Buffer {
  const at = below(random, message.length + 1)
  const length = below(random, 40)
  const [before, cut, after] = [
    message.subarray(0, at),
    message.subarray(at, at + length),
    message.subarray(at + length),
  ]
  switch (below(random, 6)) {
    case 0:
      return Buffer.concat([before, flipped(random, cut), after])
    case 1:
      return Buffer.concat([before, Buffer.alloc(cut.length, pick(random, ODD_BYTES)), after])
    case 2:
      return Buffer.concat([before, after])
    case 3:
      return Buffer.concat([before, cut, cut, after])
    case 4:
      return Buffer.concat([before, Buffer.from([pick(random, ODD_BYTES)]), message.subarray(at + 1)])
    default:
      return before
  }
}

function mutateValues(random: Random, message: Buffer): Buffer {
  const tree = treeOf(message)
  const nodes = tree ? flat(tree) : []
  const node = nodes[below(random, nodes.length)]
  if (!tree || !node) return message
  const other = nodes[below(random, nodes.length)] ?? node
  const siblings = node.children ?? []
  switch (below(random, 7)) {
    case 0:
      siblings.splice(below(random, siblings.length + 1), 1)
      break
    case 1:
      siblings.push(...siblings.slice(below(random, siblings.length + 1)))
      break
    case 2:
      siblings.push({ ...other, children: other.children && [...other.children] })
      break
    case 3:
      siblings.reverse()
      break
    case 4:
      node.tag = other.tag
      break
    case 5:
      node.content = flipped(random, node.content)
      break
    default:
      Object.assign(node, { content: Buffer.alloc(below(random, 20), pick(random, ODD_BYTES)), children: undefined })
  }
  return encode(random, tree, 0)
}

function flipped(random: Random, bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes)
  if (changed.length > 0) changed[below(random, changed.length)]! ^= 1 << below(random, 8)
  return changed
}

function treeOf(message: Buffer): Node | undefined {
  try {
    return nodeOf(toDer(message))
  } catch {
    return undefined
  }
}

function nodeOf(bytes: Buffer): Node {
  const value = readDer(bytes)
  const inside = value.tag & 0x20 ? rest(enter(value, value.tag), 1000) : undefined
  const children = inside?.map(({ start, end }) => nodeOf(bytes.subarray(start, end)))
  return { tag: value.tag, content: contentOf(value), children }
}

const flat = (node: Node): Node[] => [node, ...(node.children ?? []).flatMap(flat)]

// A value that was put inside itself would have no end.
function encode(random: Random, { tag, content, children }: Node, depth: number): Buffer {
  if (depth > 100) return Buffer.alloc(0)
  const inside = children ? Buffer.concat(children.map((child) => encode(random, child, depth + 1))) : content
  const indefinite = children && below(random, 8) === 0
  return indefinite ? Buffer.concat([Buffer.from([tag, 0x80]), inside, Buffer.from([0, 0])]) : tlv(tag, inside)
}
