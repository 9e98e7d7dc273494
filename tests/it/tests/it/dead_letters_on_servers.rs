//! Messages that cannot be handled, on real servers with two workers.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tbx_bus::rabbitmq::{Exchange, RabbitMq, RabbitOptions};
use tbx_bus::{Message, Publisher as _, Topic};
use tbx_core::published::{NOTIFICATIONS_CHANNEL, NOTIFIER_GROUP};
use tbx_it::{Answer, Client, EventStream, Places, Setup, Tbx, eventually};

use crate::audit::Audit;
use crate::letters::run;
use crate::support::{CHANGES, at_rest, connected, created, id, next, nth, problem};

/// How long a student may take to be worked off while others are in trouble.
const FLOWING: Duration = Duration::from_secs(15);

async fn admin(worker: &Tbx, method: Method, path: &str) -> Answer {
    let path = format!("/admin/dead-letters{path}");
    Client::new(worker.address("worker")).send(method, &path, &[], "".into()).await.unwrap()
}

/// The one letter that there is, as the command lists it.
async fn the_letter(setup: &Setup) -> Value {
    eventually("there is one letter", || async {
        let listed = run(setup, &["list", "--json"]).await.json();
        match listed.as_array().unwrap().as_slice() {
            [letter] => Ok(letter.clone()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Creates a student, and sees it worked off in time.
async fn flows(api: &Tbx, n: usize) -> Value {
    let began = Instant::now();
    let student = created(&mut api.api(), &nth(n)).await;
    at_rest(api.address("api"), &id(&student)).await;
    assert!(began.elapsed() < FLOWING, "{:?}", began.elapsed());
    student
}

/// How often a stream tells of a student up to the mark, another student.
async fn told_before(stream: &mut EventStream, student: &Value, mark: &Value) -> usize {
    let mut told = 0;
    loop {
        let event = next(stream).await;
        let about = event.json()["student"]["id"].clone();
        if about == mark["id"] {
            return told;
        }
        told += usize::from(about == student["id"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_cannot_be_worked_off_ends_as_a_letter_while_others_flow_and_works_once_it_is_mended() {
    let places = Places::new().await;
    let setup = places.migrated().await;
    let audit = Audit::start(&places.vhost).await;
    let api = setup.start_host("api").await;
    let workers = [setup.start_host("worker").await, setup.start_host("worker").await];
    let notifier = setup.start_host("notifier").await;
    let mut stream = connected(notifier.address("notifier"), CHANGES, None).await;
    let forbid =
        "ALTER TABLE students ADD CONSTRAINT test_forbids CHECK (last_name <> 'Last0' OR updates = 0)";
    places.database.execute(forbid).await;
    let student = created(&mut api.api(), &nth(0)).await;
    for n in 1..10 {
        flows(&api, n).await;
    }

    let letter = the_letter(&setup).await;
    for (name, value) in [
        ("type", "StudentCreated"),
        ("channel", "tbx.events"),
        ("group", "tbx.worker"),
        ("topic", "student.created"),
        ("reason", "rejected"),
    ] {
        assert_eq!(letter[name], value, "{name}: {letter}");
    }
    assert_eq!(letter["attempts"], 1, "no repetition can help: {letter}");
    assert!(letter["detail"].as_str().unwrap().contains("test_forbids"), "{letter}");
    let message = letter["messageId"].as_str().unwrap();
    let name = format!("tbx.worker:{message}");
    let shown = run(&setup, &["show", &name, "--json"]).await.json();
    assert_eq!(shown["body"]["student"]["id"], student["id"]);
    for worker in &workers {
        let listed = admin(worker, Method::GET, "").await.json();
        assert_eq!(listed, json!({ "items": [letter], "next": null }));
        assert_eq!(admin(worker, Method::GET, &format!("/{name}")).await.json(), shown);
    }

    // Too early: it comes back, and again nobody else is held up.
    let replayed = run(&setup, &["replay", &name]).await;
    assert_eq!(replayed.stdout, format!("{name}: given to its group again\n"));
    flows(&api, 10).await;
    assert_eq!(the_letter(&setup).await, letter);

    places.database.execute("ALTER TABLE students DROP CONSTRAINT test_forbids").await;
    let replayed = admin(&workers[1], Method::POST, &format!("/{name}/replay")).await;
    assert_eq!((replayed.status, replayed.json()), (200, json!({ "outcome": "replayed" })));
    assert_eq!(at_rest(api.address("api"), &id(&student)).await.json()["updates"], 1);
    problem(&admin(&workers[0], Method::POST, &format!("/{name}/replay")).await, 404, "not-found");
    assert_eq!(run(&setup, &["list"]).await.stdout, "There are no dead letters.\n");

    let mark = flows(&api, 11).await;
    assert_eq!(told_before(&mut stream, &student, &mark).await, 1, "clients are told once");
    audit.sees(&id(&mark)).await;
    assert_eq!(audit.times(message), 1, "a replay is for the group that gave it up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_the_broker_never_takes_is_a_letter_of_the_database_and_holds_up_nobody() {
    let places = Places::new().await;
    let setup = places.migrated().await;
    let (api, worker) = (setup.start_host("api").await, setup.start_host("worker").await);
    // By another program, and larger than a message may be.
    let insert = r#"INSERT INTO tbx_outbox (channel, message_id, topic, headers, body)
        VALUES ('tbx.events', 'large', 'test.large', '{"cloudEvents_type":"Large"}', convert_to(repeat('x', 1100000), 'UTF8'))"#;
    places.database.execute(insert).await;
    flows(&api, 1).await;
    let letter = the_letter(&setup).await;
    assert_eq!(
        (&letter["messageId"], &letter["reason"]),
        (&json!("large"), &json!("unpublishable")),
        "{letter}"
    );
    assert_eq!(letter["group"], "", "no group has had it");
    let number = letter["id"].as_str().unwrap();
    let shown = admin(&worker, Method::GET, &format!("/{number}")).await.json();
    assert_eq!((&shown["id"], &shown["detail"]), (&json!(number), &letter["detail"]), "{shown}");
    assert_eq!(admin(&worker, Method::DELETE, &format!("/{number}")).await.status, 204);
    assert_eq!(run(&setup, &["list"]).await.stdout, "There are no dead letters.\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_of_the_database_too_is_replayed_to_its_group_alone() {
    let places = Places::new().await;
    let setup = places.migrated().await;
    let audit = Audit::start(&places.vhost).await;
    let seeded = setup.command(&["seed", "--count", "1"]).output().await.unwrap();
    assert!(seeded.status.success(), "{seeded:?}");
    // As a worker would have given it up on a bus that keeps no letters itself.
    places
        .database
        .execute(
            "INSERT INTO tbx_dead_letters (channel, consumer, message_id, topic, headers, body, attempts, reason, detail) \
             SELECT channel, 'tbx.worker', message_id, topic, headers, body, 5, 'attempts-exhausted', 'it failed' FROM tbx_outbox; \
             DELETE FROM tbx_outbox",
        )
        .await;
    let (api, _worker) = (setup.start_host("api").await, setup.start_host("worker").await);
    let letter = the_letter(&setup).await;
    let replayed = run(&setup, &["replay", letter["id"].as_str().unwrap()]).await;
    assert_eq!(replayed.code, Some(0), "{}", replayed.stdout);
    assert_eq!(at_rest(api.address("api"), "1").await.json()["updates"], 1);
    let mark = flows(&api, 1).await;
    audit.sees(&id(&mark)).await;
    assert_eq!(
        audit.times(letter["messageId"].as_str().unwrap()),
        0,
        "a replay is for the group that gave it up"
    );
}

/// The group of a notifier with a history of its own, as its numbers name it.
async fn own_group(notifier: &Tbx) -> String {
    let begin = format!("tbx_group_dead{{group=\"{NOTIFIER_GROUP}.");
    eventually("the notifier names its group", || async {
        let metrics = notifier.notifier().get("/metrics").await.unwrap();
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        let epoch = text.split_once(&begin).and_then(|(_, rest)| rest.split_once('"'));
        epoch.map(|(epoch, _)| format!("{NOTIFIER_GROUP}.{epoch}")).ok_or(text)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_letters_of_a_notifier_with_a_history_of_its_own_are_reached_by_its_group() {
    let places = Places::new().await;
    let setup = places.migrated().await.with("TBX_HISTORY_URL", "sqlite:history.db");
    let notifier = setup.start_host("notifier").await;
    let group = own_group(&notifier).await;
    // What is no text can be no notification.
    let rabbit = RabbitMq::start(RabbitOptions::new(&places.vhost.url()).unwrap());
    let message = Message::new(Topic::new("test.bytes").unwrap(), "Bytes", vec![0xff_u8]);
    let name = format!("{group}:{}", message.id());
    let bus = rabbit.bus(Exchange::new(NOTIFICATIONS_CHANNEL).unwrap());
    bus.publish(message).await.unwrap().accepted().await.unwrap();
    rabbit.close().await;

    let letter = eventually("it is given up", || async {
        let listed = run(&setup, &["--group", &group, "list", "--json"]).await.json();
        match listed.as_array().unwrap().as_slice() {
            [letter] => Ok(letter.clone()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let channel = &letter["channel"];
    assert_eq!(
        (&letter["id"], channel, &letter["group"]),
        (&json!(name), &json!("notifications"), &json!(group))
    );
    assert_eq!(
        run(&setup, &["list"]).await.stdout,
        "There are no dead letters.\n",
        "nobody else knows of it"
    );
    let dropped = run(&setup, &["drop", &name, "--group", &group]).await;
    assert_eq!((dropped.code, dropped.stdout), (Some(0), format!("{name}: dropped\n")));
    let slip = run(&setup, &["list", "--group", "tbx.notifier.0"]).await;
    assert_eq!(slip.code, Some(1), "{}", slip.stdout);
    assert!(
        slip.stderr.contains("`tbx.notifier.0`") && slip.stderr.contains("check its name"),
        "{}",
        slip.stderr
    );
}
