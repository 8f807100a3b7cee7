// Computes without end and replaces 20,000 small objects after each round; prints a line after the first.
const fibonacci = (n) => n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
let keep = [];

for (let round = 0; ; round++) {
	fibonacci(27);
	keep = [];
	for (let i = 0; i < 20000; i++)
		keep.push({ i, text: 'x' + i });
	if (round === 0)
		require('fs').writeSync(1, 'began\n');
}
