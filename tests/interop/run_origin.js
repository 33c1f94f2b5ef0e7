// Runs node's own HTTP server over a listening socket handed down: `node run_origin.js FD` (contract: run_origin.py).
'use strict';
const http = require('node:http');

let seen = [];
const server = http.createServer((request, response) => {
  let size = 0;
  request.on('data', (data) => { size += data.length; });
  request.on('error', () => {});
  request.on('end', () => {
    if (!request.complete) return;
    let body;
    if (request.url === '/__seen') {
      body = JSON.stringify(seen);
      seen = [];
    } else {
      body = `${request.method} ${size}`;
      seen.push(body);
    }
    response.writeHead(200, { 'Content-Length': Buffer.byteLength(body), 'X-Origin': 'node' });
    response.end(body);
  });
});
server.keepAliveTimeout = 30000;
server.listen({ fd: Number(process.argv[2]) });
