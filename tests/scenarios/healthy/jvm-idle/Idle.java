import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/** A pool, a schedule that gives it a small job ten times a second, and some garbage. */
class Idle {
    static volatile byte[] garbage;
    static volatile long jobs;

    public static void main(String[] arguments) throws Exception {
        var pool = Executors.newFixedThreadPool(8);
        var schedule = Executors.newScheduledThreadPool(2);
        schedule.scheduleAtFixedRate(() -> pool.submit(() -> { garbage = new byte[1 << 18]; jobs++; }), 0, 100, TimeUnit.MILLISECONDS);
        schedule.scheduleAtFixedRate(() -> System.gc(), 1, 2, TimeUnit.SECONDS);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("jobs=" + jobs)));
        System.out.println("ready");
        Thread.sleep(Long.MAX_VALUE);
    }
}
