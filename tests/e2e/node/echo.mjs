// A WebSocket echo with the `ws` package: text and binary come back as they came, `close CODE REASON` closes.
// Usage: node echo.mjs PATH_OF_NODE_MODULES; prints the port it listens on.
import { createRequire } from 'node:module'

const { WebSocketServer } = createRequire(`${process.argv[2]}/`)('ws')

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has('echo.v2') ? 'echo.v2' : false),
})

server.on('listening', () => console.log(`listening ${server.address().port}`))
server.on('connection', (socket, request) => {
  socket.send(JSON.stringify({ host: request.headers.host, protocol: socket.protocol }))
  socket.on('message', (data, binary) => {
    const [word, code, reason] = binary ? [] : data.toString().split(' ')
    if (word === 'close') socket.close(Number(code), reason)
    else socket.send(data, { binary })
  })
})
