//! The command line: what each command does, and how it ends.

use std::process::Output;

use http::Method;
use serde_json::json;
use tbx_it::{Client, Places, Setup, within};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::{STREAM, STUDENTS, connected, next, publish};

async fn run(setup: &Setup, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output: Output = within("the command ends", setup.command(arguments).output()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Checks that a command is refused as wrong use, with a message that names all of these.
async fn refused(setup: &Setup, arguments: &[&str], naming: &[&str]) {
    let (code, stdout, stderr) = run(setup, arguments).await;
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
    for name in naming {
        assert!(stderr.contains(name), "{arguments:?} names {name}: {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[tokio::test]
async fn config_tells_each_value_and_where_it_came_from() {
    let setup = Setup::new().with("TBX_KEEP_ALIVE", "3s").with("TBX_LOG_FILE", "level");
    std::fs::write(setup.folder().join("tbx.toml"), "max_connections = 7\nkeep_alive = \"1s\"\n").unwrap();
    std::fs::write(setup.folder().join("level"), "warn\n").unwrap();
    let (code, stdout, stderr) = run(&setup, &["config", "--drain-timeout", "4s"]).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for line in [
        "database_url = sqlite:data/tbx.db  (default)",
        "max_connections = 7  (tbx.toml)",
        "keep_alive = 3s  (TBX_KEEP_ALIVE)",
        "log = warn  (TBX_LOG_FILE (level))",
        "drain_timeout = 4s  (--drain-timeout)",
    ] {
        assert!(stdout.lines().any(|shown| shown == line), "{line}:\n{stdout}");
    }
    assert!(!setup.folder().join("data").exists(), "it changes nothing");
}

#[tokio::test]
async fn what_cannot_be_used_is_named_with_a_remedy() {
    let setup = Setup::new();
    refused(&setup, &["--api-lisen", "127.0.0.1:0"], &["--api-lisen", "--api-listen"]).await;
    refused(&setup, &["--keep-alive", "soon"], &["--keep-alive", "soon", "10s"]).await;
    refused(&setup, &["unknown"], &["unknown"]).await;
    refused(&setup, &["seed"], &["--count"]).await;
    refused(&setup, &["--config", "absent.toml"], &["absent.toml"]).await;
    refused(&setup, &["--api-listen", "0.0.0.0:0"], &["--api-listen", "0.0.0.0:0", "insecure"]).await;
    for (variable, value, remedy) in [
        ("TBX_API_LISEN", "127.0.0.1:0", "TBX_API_LISTEN"),
        ("TBX_BODY_LIMIT", "much", "256KiB"),
        ("TBX_BUS_URL", "localhost:5672", "amqp://"),
        ("TBX_DATABASE_URL", "localhost/tbx", "postgres://"),
        ("TBX_CACHE_URL", "localhost", "redis://"),
        ("TBX_HISTORY_URL", "sqlite:data/tbx.db", "file of its own"),
        ("TBX_AUTH", "jwt", "insecure"),
        ("TBX_JWT_SECRET", "secret-value", "remove it"),
    ] {
        refused(&Setup::new().with(variable, value), &[], &[variable, remedy]).await;
    }
    let file = Setup::new();
    std::fs::write(file.folder().join("tbx.toml"), "keep_alife = \"1s\"\n").unwrap();
    refused(&file, &[], &["tbx.toml", "keep_alife", "keep_alive"]).await;
}

#[tokio::test]
async fn a_url_that_cannot_be_used_whatever_answers_there_is_wrong_configuration() {
    let cases = [
        ("TBX_DATABASE_URL", "postgres://role@host", "names no database"),
        ("TBX_BUS_URL", "amqp://host?hartbeat=1", "`hartbeat`"),
        ("TBX_BUS_URL", "amqps://host?cacertfile=/not/there.pem", "/not/there.pem"),
        ("TBX_CACHE_URL", "redis://host:notaport", "redis://host:6379"),
        ("TBX_HISTORY_URL", "rediss://host?cacertfile=/not/there.pem", "/not/there.pem"),
    ];
    for (variable, url, fault) in cases {
        let setup = Setup::new().with(variable, url);
        refused(&setup, &[], &[variable, fault]).await;
        let (code, shown, told) = run(&setup, &["config"]).await;
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(variable) && told.contains(fault), "{told}");
        assert!(shown.contains(&format!("({variable})")), "it is shown where the value comes from: {shown}");
    }
    let setup = Setup::new()
        .with("TBX_DATABASE_URL", "postgres://role@localhost/tbx")
        .with("TBX_BUS_URL", "amqp://localhost")
        .with("TBX_CACHE_URL", "redis://localhost:notaport");
    for host in ["api", "worker"] {
        refused(&setup, &[host], &["TBX_CACHE_URL"]).await;
    }
}

#[tokio::test]
async fn each_program_tells_how_it_is_used_and_which_version_it_is() {
    let setup = Setup::new();
    for program in ["tbx", "tbx-api", "tbx-worker", "tbx-notifier"] {
        for (argument, told) in [
            ("--help", "--database-url <VALUE>"),
            ("-h", "--api-listen <VALUE>"),
            ("--version", program),
            ("-V", env!("CARGO_PKG_VERSION")),
        ] {
            let mut command = setup.command_of(program, &[argument]);
            let output = within("the command ends", command.output()).await.unwrap();
            let stdout = String::from_utf8(output.stdout).unwrap();
            assert_eq!(
                (output.status.code(), output.stderr.len()),
                (Some(0), 0),
                "{program} {argument}: {stdout}"
            );
            assert!(stdout.contains(told), "{program} {argument}: {stdout}");
        }
    }
}

#[tokio::test]
async fn a_host_of_its_own_refuses_what_it_would_have_to_share() {
    for host in ["api", "worker", "notifier"] {
        refused(&Setup::new(), &[host], &[host, "TBX_BUS_URL=memory:", "run `tbx`"]).await;
    }
    for host in ["api", "worker"] {
        refused(&Setup::new().with("TBX_BUS_URL", "none:"), &[host], &[host, "TBX_BUS_URL=none:"]).await;
    }
    for host in ["api", "worker", "notifier"] {
        let on_a_broker = || Setup::new().with("TBX_BUS_URL", "amqp://localhost");
        refused(&on_a_broker(), &[host], &[host, "TBX_CACHE_URL=memory:", "redis://"]).await;
        let cached = on_a_broker().with("TBX_CACHE_URL", "redis://localhost");
        refused(&cached, &[host], &[host, "TBX_DATABASE_URL=sqlite:", "postgres://"]).await;
    }
}

#[tokio::test]
async fn without_a_bus_only_the_notifier_runs() {
    refused(&Setup::new().with("TBX_BUS_URL", "none:"), &[], &["TBX_BUS_URL", "none:"]).await;
}

#[tokio::test]
async fn a_notifier_fed_by_http_alone_needs_nothing_else() {
    let setup = Setup::new().with("TBX_BUS_URL", "none:").with("TBX_HISTORY_URL", "memory:");
    let mut alone = Command::new(tbx_it::binary("tbx-notifier"));
    alone.current_dir(setup.folder()).kill_on_drop(true);
    alone.envs([
        ("TBX_BUS_URL", "none:"),
        ("TBX_HISTORY_URL", "memory:"),
        ("TBX_NOTIFIER_LISTEN", "127.0.0.1:0"),
    ]);
    for mut command in [setup.command(&["notifier"]), alone] {
        let mut child =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within("it tells its address", lines.next_line()).await.unwrap().unwrap();
        let (_, rest) = line.split_once("http://").unwrap();
        let address = rest.split('/').next().unwrap().parse().unwrap();
        for path in ["/health/live", "/health/ready", "/health"] {
            assert_eq!(Client::new(address).get(path).await.unwrap().status, 200, "{path}");
        }
        let mut stream = connected(address, STREAM, None).await;
        assert_eq!(publish(address, "course.opened", "Opened", &json!({ "seats": 3 })).await.status, 202);
        let told = next(&mut stream).await;
        assert_eq!((told.event.as_str(), told.json()), ("Opened", json!({ "seats": 3 })));
        let stop =
            Command::new("kill").arg("-TERM").arg(child.id().unwrap().to_string()).status().await.unwrap();
        assert!(stop.success());
        assert_eq!(within("the stream ends", stream.next()).await, None);
        assert!(stream.retry.is_some());
        assert_eq!(within("it ends", child.wait()).await.unwrap().code(), Some(0));
    }
    assert_eq!(std::fs::read_dir(setup.folder()).unwrap().count(), 0, "it leaves no file");
}

#[tokio::test]
async fn migrate_status_tells_what_is_missing_and_migrate_applies_it() {
    let setup = Setup::new();
    let (code, _, stderr) = run(&setup, &["migrate", "status"]).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("tbx migrate"), "{stderr}");
    assert!(!setup.folder().join("data").exists(), "it creates nothing");

    for _ in 0..2 {
        let (code, stdout, stderr) = run(&setup, &["migrate"]).await;
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    }
    let (code, stdout, stderr) = run(&setup, &["migrate", "status"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.lines().count() >= 2 && stdout.lines().all(|line| line.ends_with("applied")), "{stdout}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_shared_database_migrate_leaves_the_history_to_its_notifier() {
    let places = Places::new().await;
    let setup = places.setup().with("TBX_HISTORY_URL", "sqlite:history.db");
    let (code, stdout, stderr) = run(&setup, &["migrate"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("Each notifier migrates its own history"), "{stdout}");
    assert!(!setup.folder().join("history.db").exists());
    let _owner = setup.start_host("notifier").await;
    let (code, _, stderr) = run(&setup, &["migrate"]).await;
    assert_eq!(code, Some(0), "beside the notifier that owns the history: {stderr}");
}

#[tokio::test]
async fn seeded_students_are_the_same_for_the_same_seed_and_told_once_the_process_runs() {
    let setup = Setup::new();
    let seed = ["seed", "--count", "20", "--rng-seed", "7"];
    let (code, stdout, stderr) = run(&setup, &seed).await;
    assert_eq!((code, stdout.trim()), (Some(0), "20 students created, 0 were there already."), "{stderr}");
    let (code, stdout, stderr) = run(&setup, &seed).await;
    assert_eq!((code, stdout.trim()), (Some(0), "0 students created, 20 were there already."), "{stderr}");

    let other = Setup::new();
    run(&other, &seed).await;
    let (one, two) = (setup.start().await, other.start().await);
    let mut names = Vec::new();
    for tbx in [&one, &two] {
        let page = tbx.api().get(STUDENTS).await.unwrap().json();
        let students = page["items"].as_array().unwrap().clone();
        assert_eq!(students.len(), 20);
        names.push(students.iter().map(|student| student["email"].to_string()).collect::<Vec<_>>());
        let path = format!("{STREAM}?topics=student.created&from=oldest");
        let mut stream = connected(tbx.address("notifier"), &path, None).await;
        for _ in 0..20 {
            assert_eq!(next(&mut stream).await.event, "StudentCreated");
        }
    }
    assert_eq!(names[0], names[1]);
}

#[tokio::test]
async fn a_second_process_on_the_same_files_is_refused_with_a_remedy() {
    let setup = Setup::new();
    let tbx = setup.start().await;
    for arguments in [&[][..], &["migrate"], &["seed", "--count", "1"]] {
        let (code, stdout, stderr) = run(&setup, arguments).await;
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
        assert!(
            stderr.contains("tbx.db") && stderr.contains("stop the other process"),
            "{arguments:?}: {stderr}"
        );
    }
    let history = ["--database-url", "sqlite:other/tbx.db"];
    let (code, _, stderr) = run(&setup, &history).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("tbx-history.db"), "{stderr}");
    let answer = tbx.api().send(Method::GET, STUDENTS, &[], "".into()).await.unwrap();
    assert_eq!(answer.status, 200, "the first goes on");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let tbx = Setup::new().start().await;
    let taken = tbx.address("api").to_string();
    let (code, _, stderr) = run(&Setup::new(), &["--notifier-listen", &taken]).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&taken), "{stderr}");
}
