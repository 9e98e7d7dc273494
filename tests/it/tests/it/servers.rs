//! Hosts as processes of their own, on PostgreSQL, RabbitMQ and Redis.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use tbx_bus::rabbitmq::{Exchange, RabbitMq, RabbitOptions};
use tbx_bus::{Group, Subscriber, TopicPattern};
use tbx_it::{Client, Event, EventStream, Places, Tbx, eventually, within};
use tbx_services::{Relay, with_credentials};
use tokio::task::JoinSet;

use crate::support::{CHANGES, STUDENTS, ada, at_rest, created, nth, problem, refused};

async fn next_change(stream: &mut EventStream) -> Event {
    loop {
        let event = within("an event", stream.next()).await.unwrap();
        if event.event.starts_with("Student") {
            return event;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_to_one_api_reaches_the_clients_of_every_notifier_at_the_same_position() {
    let places = Places::new().await;
    let setup = places.setup();
    let api = [setup.start_host("api").await, setup.start_host("api").await];
    let _worker = setup.start_host("worker").await;
    let notifier = [setup.start_host("notifier").await, setup.start_host("notifier").await];
    let mut streams = Vec::new();
    for notifier in &notifier {
        let mut stream = notifier.stream(CHANGES, None).await;
        within("connected", stream.next()).await.unwrap();
        streams.push(stream);
    }

    let student = created(&mut api[0].api(), &ada()).await;
    let id = student["id"].as_str().unwrap();
    let (path, change) = (format!("{STUDENTS}/{id}"), json!({ "lastName": "King" }));
    let changed = api[1].api().json(Method::PATCH, &path, &change).await.unwrap();
    assert_eq!(changed.json()["version"], 2, "the other api knows it");

    let mut seen = Vec::new();
    for stream in &mut streams {
        seen.push([next_change(stream).await, next_change(stream).await]);
    }
    assert_eq!(seen[0], seen[1]);
    let versions: Vec<_> = seen[0].iter().map(|event| event.json()["student"]["version"].clone()).collect();
    assert_eq!(versions, [json!(1), json!(2)]);
    let rest = at_rest(api[1].address("api"), id).await;
    assert_eq!(rest.json()["updates"], 2);

    // A position of one notifier is good on the other.
    let mut resumed = notifier[1].stream(CHANGES, Some(&seen[0][0].id)).await;
    assert_eq!(within("connected", resumed.next()).await.unwrap().id, seen[0][0].id);
    assert_eq!(next_change(&mut resumed).await, seen[0][1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_tells_a_position_from_which_its_client_misses_nothing() {
    let places = Places::new().await;
    let setup = places.setup();
    let (api, _worker) = (setup.start_host("api").await, setup.start_host("worker").await);
    let notifier = setup.start_host("notifier").await;
    let mut client = api.api();
    let student = created(&mut client, &nth(1)).await;
    at_rest(api.address("api"), student["id"].as_str().unwrap()).await;
    let read = client.get("/api/students/1").await.unwrap();
    let position = read.header("stream-position").to_owned();
    assert!(!position.is_empty(), "{read:?}");
    created(&mut client, &nth(2)).await;
    let mut stream = notifier.stream(CHANGES, Some(&position)).await;
    loop {
        let event = next_change(&mut stream).await;
        if event.json()["student"]["number"] == 2 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_the_notifier_reach_api_and_worker_where_each_is_a_process() {
    let places = Places::new().await;
    let setup = places.setup();
    let notifier = setup.start_host("notifier").await;
    let setup = setup.with("TBX_NOTIFIER_LISTEN", &notifier.address("notifier").to_string());
    let (api, worker) = (setup.start_host("api").await, setup.start_host("worker").await);
    let page = format!("http://localhost:{}", notifier.address("notifier").port());
    for (host, service, path) in [(&api, "api", STUDENTS), (&worker, "worker", "/health")] {
        let mut client = Client::new(host.address(service));
        let answer = client.send(Method::GET, path, &[("origin", &page)], "".into()).await.unwrap();
        assert_eq!(answer.status, 200, "{service}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), page, "{service}");
        let foreign = [("origin", "http://localhost:9")];
        let answer = client.send(Method::GET, path, &foreign, "".into()).await.unwrap();
        problem(&answer, 403, "origin-not-allowed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_only_a_person_can_mend_ends_the_start_at_once_with_the_remedy() {
    let places = Places::new().await;
    let wrong = |url: &str| with_credentials(url, None, "wrong");
    let vhost = places.vhost.url().replace(places.vhost.name(), "absent");
    for (host, variable, url, remedy) in [
        ("api", "TBX_DATABASE_URL", wrong(&places.database.url()), "password"),
        ("api", "TBX_BUS_URL", wrong(&places.vhost.url()), "password"),
        ("worker", "TBX_BUS_URL", vhost, "add_vhost absent"),
        ("notifier", "TBX_HISTORY_URL", wrong(&places.keyspace.url()), "password"),
    ] {
        let (code, said) = refused(&places.setup().with(variable, &url), host).await;
        assert_eq!(code, Some(1), "{variable}: {said}");
        assert!(said.contains(variable) && said.contains(remedy), "{variable}: {said}");
        assert!(!said.contains("wrong@"), "the password is not shown: {said}");
    }
}

const SERVERS: [(&str, &str); 3] =
    [("api", "TBX_DATABASE_URL"), ("worker", "TBX_BUS_URL"), ("notifier", "TBX_HISTORY_URL")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_waited_for_and_then_named() {
    let places = Places::new().await;
    let mut waiting = JoinSet::new();
    for (host, variable) in SERVERS {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = match variable {
            "TBX_DATABASE_URL" => format!("postgres://tbx:tbx@{free}/tbx"),
            "TBX_BUS_URL" => format!("amqp://tbx:tbx@{free}"),
            _ => format!("redis://:tbx@{free}"),
        };
        let setup = places.setup().with(variable, &url);
        waiting.spawn(async move { (variable, refused(&setup, host).await) });
    }
    for (variable, (code, said)) in waiting.join_all().await {
        assert_eq!(code, Some(1), "{said}");
        for text in [variable, "127.0.0.1", "check"] {
            assert!(said.contains(text) || text == "check" && said.contains("correct"), "{text}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lets_nobody_in_is_not_stormed() {
    let places = Places::new().await;
    let mut waiting = JoinSet::new();
    for (host, variable) in SERVERS {
        let relay = Relay::start(places.vhost.address()).await;
        relay.refuse();
        let url = match variable {
            "TBX_DATABASE_URL" => places.database.url_through(&relay),
            "TBX_BUS_URL" => places.vhost.url_through(&relay),
            _ => places.keyspace.url_through(&relay),
        };
        let setup = places.setup().with(variable, &url);
        waiting.spawn(async move { (variable, refused(&setup, host).await.0, relay.accepted()) });
    }
    for (variable, code, tries) in waiting.join_all().await {
        assert_eq!(code, Some(1), "{variable}");
        assert!((2..40).contains(&tries), "{variable}: {tries} tries in 15 s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_waits_for_a_server_that_starts_later() {
    let places = Places::new().await;
    let relay = Relay::start(places.vhost.address()).await;
    relay.refuse();
    let setup = places.setup().with("TBX_BUS_URL", &places.vhost.url_through(&relay));
    let api = setup.spawn_host("api");
    eventually("it has tried", || async {
        if relay.accepted() > 1 { Ok(()) } else { Err(relay.accepted().to_string()) }
    })
    .await;
    relay.accept();
    within("the api listens", api.listening()).await;
    api.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_asked_to_end_while_it_waits_for_a_server_and_does_so_at_once() {
    let places = Places::new().await;
    let relay = Relay::start(places.vhost.address()).await;
    relay.refuse();
    let setup = places.setup().with("TBX_BUS_URL", &places.vhost.url_through(&relay));
    let together = setup.clone().with("TBX_DATABASE_URL", "sqlite:tbx.db").with("TBX_HISTORY_URL", "memory:");
    for service in ["api", "worker", "notifier", "all"] {
        let before = relay.accepted();
        let host = if service == "all" { together.spawn() } else { setup.spawn_host(service) };
        eventually("it has tried", || async {
            if relay.accepted() > before { Ok(()) } else { Err(host.log()) }
        })
        .await;
        let asked = Instant::now();
        host.terminate().await;
        let (status, log) = host.ended().await;
        assert_eq!(status.code(), Some(0), "{service}: {log}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{service}: {:?}: {log}", asked.elapsed());
    }
}

/// The end of a pipe that has gone is an error to whoever writes there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_runs_though_nobody_reads_what_it_says() {
    let places = Places::new().await;
    for service in ["api", "worker", "notifier"] {
        let host = places.setup().start_host(service).await;
        host.terminate().await;
        let (status, log) = host.ended().await;
        assert_eq!(status.code(), Some(0), "{service}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topology_that_has_drifted_ends_the_start_and_the_difference_is_told() {
    let places = Places::new().await;
    let rabbit = RabbitMq::start(RabbitOptions::new(&places.vhost.url()).unwrap());
    let other = Group::new("tbx.worker", [TopicPattern::new("order.*").unwrap()]).with_single_active();
    rabbit.bus(Exchange::new("tbx.events").unwrap()).declare(&other).await.unwrap();
    rabbit.close().await;
    let (code, said) = refused(&places.setup(), "worker").await;
    assert_eq!(code, Some(1), "{said}");
    for text in ["TBX_BUS_URL", "tbx.worker", "order.*"] {
        assert!(said.contains(text), "{text}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_a_later_version_ends_the_start() {
    let places = Places::new().await;
    let migrated = places.setup().command(&["migrate"]).output().await.unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    places
        .database
        .execute(
            "INSERT INTO tbx_store_migrations (version, description, success, checksum, execution_time) \
             VALUES (99, 'later', true, ''::bytea, 0)",
        )
        .await;
    let (code, said) = refused(&places.setup(), "api").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("TBX_DATABASE_URL") && said.contains("version"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_rides_out_the_loss_of_every_server_and_says_so() {
    let places = Places::new().await;
    let (setup, relays) = places.relayed().await;
    let (api, worker) = (setup.start_host("api").await, setup.start_host("worker").await);
    let notifier = setup.start_host("notifier").await;
    let mut stream = notifier.stream(CHANGES, None).await;
    within("connected", stream.next()).await.unwrap();
    for (relay, host, service, check, loss) in [
        (&relays[0], &worker, "worker", "worker", "fail"),
        (&relays[0], &notifier, "notifier", "bridge", "fail"),
        (&relays[0], &api, "api", "bus", "warn"),
        (&relays[1], &api, "api", "database", "fail"),
        (&relays[2], &notifier, "notifier", "history", "fail"),
    ] {
        relay.refuse();
        relay.cut().await;
        eventually("health shows the loss", || health_is(host, service, check, loss)).await;
        relay.accept();
        eventually("health shows the return", || health_is(host, service, check, "pass")).await;
    }
    let student = created(&mut Client::new(api.address("api")), &ada()).await;
    loop {
        let event = next_change(&mut stream).await;
        if event.json()["student"]["id"] == student["id"] {
            break;
        }
    }
}

/// What stands before the apis sends requests to those that are ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_without_rabbitmq_and_redis_is_ready_and_answers() {
    let places = Places::new().await;
    let (setup, [bus, _database, redis]) = places.relayed().await;
    let api = setup.start_host("api").await;
    for relay in [&bus, &redis] {
        relay.refuse();
        relay.cut().await;
    }
    eventually("health shows the loss", || health_is(&api, "api", "bus", "warn")).await;
    let mut client = api.api();
    let health = client.get("/health").await.unwrap();
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("warn")), "{health:?}");
    let student = created(&mut client, &ada()).await;
    let read = client.get(&format!("{STUDENTS}/{}", student["number"])).await.unwrap();
    assert_eq!((read.status, read.json()["id"].clone()), (200, student["id"].clone()), "{read:?}");
    assert_eq!(client.get("/health/ready").await.unwrap().status, 200);
}

async fn health_is(host: &Tbx, service: &str, check: &str, wanted: &str) -> Result<(), String> {
    let mut client = Client::new(host.address(service));
    let health = client.get("/health").await.map_err(|error| error.to_string())?.json();
    let status = &health["checks"][check]["status"];
    tokio::time::sleep(Duration::from_millis(50)).await;
    if status == wanted { Ok(()) } else { Err(health.to_string()) }
}
