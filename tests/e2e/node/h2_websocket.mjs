// A server that speaks HTTP/2 alone: `node h2_websocket.mjs [PEM]`, over TLS where there is a key and certificate.
// It answers GET, and opens what extended CONNECT asks for (RFC 8441): what comes is sent back.
import { readFileSync } from "node:fs";
import http2 from "node:http2";

const pem = process.argv[2] && readFileSync(process.argv[2]);
const settings = { enableConnectProtocol: true };
const server = pem ? http2.createSecureServer({ key: pem, cert: pem, settings }) : http2.createServer({ settings });

server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  if (headers[":method"] !== "CONNECT") {
    stream.respond({ ":status": 200 });
    stream.end(headers[":path"]);
    return;
  }
  stream.respond({ ":status": 200, "x-asked": `${headers[":protocol"]} ${headers[":path"]} ${headers[":authority"]}` });
  stream.pipe(stream);
});
server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
