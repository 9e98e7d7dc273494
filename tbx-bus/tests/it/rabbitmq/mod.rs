//! The RabbitMQ bus passes the suite on a real broker, and shows what only it can.

mod harness;
mod letters;
mod partitions;
mod publishing;
mod recovery;
mod refusals;
mod tls;
mod topology;

use harness::RabbitHarness;

tbx_bus::bus_conformance! {
    test: #[tokio::test(flavor = "multi_thread", worker_threads = 2)],
    harness: RabbitHarness::start().await,
    claims: {
        finished: no("a broker does not tell a publisher when the last group is done"),
        unroutable: yes,
        body_limit: yes,
        queue_limit: yes,
        strict_limit: no("the broker counts what waits in a queue, and asks each queue by itself"),
        sink_failure: no("the dead letters are a queue of the same broker: while it takes none, neither does it take anything else"),
        cut: yes,
        block: yes,
        lost_confirm: yes,
        duplicate: no("this broker duplicates only what its clients repeat, and nobody can make it"),
        close: yes,
        partitions: yes,
        expiry: yes,
    }
}
