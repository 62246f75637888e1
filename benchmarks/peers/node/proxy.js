// @fastify/http-proxy as its own page shows it, once over plain HTTP and once over TLS.
'use strict'

const Fastify = require('fastify')
const proxy = require('@fastify/http-proxy')

const app = Fastify()
for (const [kind, upstream] of [['plain', process.env.BENCH_PLAIN], ['tls', process.env.BENCH_TLS]]) {
  app.register(proxy, { upstream, prefix: `/${kind}`, undici: { connections: 128, pipelining: 1 } })
}
app.listen({ host: '127.0.0.1', port: Number(process.env.BENCH_PORT) })
