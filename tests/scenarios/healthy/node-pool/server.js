// Answers requests, some with a file that the thread pool reads; prints its port.
const fs = require('fs');
const http = require('http');

const server = http.createServer((request, response) => {
	fs.readFile(__filename, (error, text) => response.end(text));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
