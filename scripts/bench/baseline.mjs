// What the machine gives at most: a trivial Fastify route in a process of its own.
import Fastify from 'fastify'

const app = Fastify()
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
app.put('/mdm', async () => '')
await app.listen({ host: '127.0.0.1', port: 0 })
console.log(app.server.address().port)
