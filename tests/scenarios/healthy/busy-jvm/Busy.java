/** Computes without end, and replaces 1,000 small arrays after each round. */
public class Busy {
	static long fibonacci(int n) {
		return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
	}

	public static void main(String[] words) {
		Object[] keep = new Object[1000];
		long sum = fibonacci(25);

		System.out.println("ready");
		while (sum != 0) {
			sum += fibonacci(25);
			for (int i = 0; i < keep.length; i++)
				keep[i] = new byte[200];
		}
	}
}
