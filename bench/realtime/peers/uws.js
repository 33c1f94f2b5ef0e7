// uWebSockets as its documentation shows pub/sub: a topic a room, a member's message goes to all others.
// PORT; REDIS_PORT and CHANNELS: rooms are fed by a Redis subscriber of its own instead.
"use strict";
const net = require("node:net");
const uws = require("@trufflesuite/uws-js-unofficial");

// The package falls back to JavaScript without an error where its compiled part does not fit.
if (!String(uws.App).includes("[native code]") || !uws._cfg) {
  process.stderr.write("the compiled part of uWebSockets does not fit this Node.js\n");
  process.exit(1);
}

const app = uws.App();
app.ws("/r/:room", {
  compression: uws.DISABLED,
  idleTimeout: 120, // it pings by itself
  maxBackpressure: 1024 * 1024,
  maxPayloadLength: 1024 * 1024,
  upgrade: (res, req, context) => {
    const key = req.getHeader("sec-websocket-key");
    res.upgrade({ room: req.getParameter(0) }, key, "", "", context);
  },
  open: (ws) => ws.subscribe(ws.room ?? ws.getUserData().room),
  message: (ws, message, binary) => ws.publish(ws.room ?? ws.getUserData().room, message, binary),
});
app.any("/*", (res) => res.end("ok"));
app.listen("127.0.0.1", Number(process.env.PORT), (socket) => {
  if (!socket) process.exit(1);
});

// Messages of Redis (RESP 2): *3 $7 message $N channel $M payload.
function messages(onMessage) {
  let rest = Buffer.alloc(0);
  return (piece) => {
    const bytes = rest.length ? Buffer.concat([rest, piece]) : piece;
    let at = 0;
    const line = () => {
      const end = bytes.indexOf("\r\n", at);
      if (end < 0) return null;
      const text = bytes.toString("latin1", at, end);
      at = end + 2;
      return text;
    };
    for (;;) {
      const start = at;
      const words = [];
      if (line() === null) break;
      for (let i = 0; i < 3; i++) {
        const head = line();
        if (head === null) break;
        if (head[0] === ":") {
          words.push(null);
          continue;
        }
        const length = Number(head.slice(1));
        if (bytes.length < at + length + 2) break;
        words.push(bytes.subarray(at, at + length));
        at += length + 2;
      }
      if (words.length < 3) {
        at = start;
        break;
      }
      if (words[2]) onMessage(words[1].toString("latin1"), words[2]);
    }
    rest = Buffer.from(bytes.subarray(at));
  };
}

if (process.env.REDIS_PORT) {
  const redis = net.connect(Number(process.env.REDIS_PORT), "127.0.0.1");
  redis.setNoDelay(true);
  const channels = Array.from({ length: Number(process.env.CHANNELS) }, (_, room) => `room:${room}`);
  redis.write(channels.map((name) => `*2\r\n$9\r\nSUBSCRIBE\r\n$${name.length}\r\n${name}\r\n`).join(""));
  redis.on("data", messages((channel, payload) => app.publish(channel.slice(5), payload, false)));
}
