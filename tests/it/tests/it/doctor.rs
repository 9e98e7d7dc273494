//! `doctor`: is everything set up right?

use std::net::TcpListener;

use tbx_it::Setup;

use crate::support::examined;

#[tokio::test]
async fn an_empty_folder_is_fine_and_stays_empty() {
    let setup = Setup::new();
    let (code, lines) = examined(&setup, &[]).await;
    assert_eq!(code, Some(0), "{lines:#?}");
    for name in
        ["configuration", "database", "history", "api port", "notifier port", "worker port", "clock", "auth"]
    {
        assert!(lines[name].starts_with("ok"), "{}", lines[name]);
    }
    assert!(lines.contains_key("open files"), "{lines:#?}");
    assert_eq!(std::fs::read_dir(setup.folder()).unwrap().count(), 0, "it creates nothing");
}

#[tokio::test]
async fn a_database_is_described_whether_it_is_owned_or_not() {
    let setup = Setup::new();
    assert!(setup.command(&["migrate"]).output().await.unwrap().status.success());
    let (code, lines) = examined(&setup, &[]).await;
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(
        lines["database"].contains("owned by nobody, schema up to date, journal wal"),
        "{}",
        lines["database"]
    );
    assert!(lines["history"].ends_with("no notifications"), "{}", lines["history"]);

    let tbx = setup.start().await;
    let listens = ["api", "notifier", "worker"].map(|service| (service, tbx.address(service).to_string()));
    let flags: Vec<String> =
        listens.iter().map(|(service, address)| format!("--{service}-listen={address}")).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let (code, lines) = examined(&setup, &flags).await;
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(lines["database"].contains("owned by a running process"), "{}", lines["database"]);
    assert!(lines["history"].contains("owned by a running process"), "{}", lines["history"]);
    for port in ["api port", "notifier port", "worker port"] {
        assert!(lines[port].contains("in use by a running host"), "{}", lines[port]);
    }
}

#[tokio::test]
async fn what_is_wrong_fails_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::new();
    std::fs::create_dir(setup.folder().join("data")).unwrap();
    std::fs::write(
        setup.folder().join("data/tbx.db"),
        "this is no database at all, though it is long enough".repeat(20),
    )
    .unwrap();
    std::fs::write(setup.folder().join("file"), "").unwrap();
    let (code, lines) = examined(
        &setup,
        &[
            "--api-listen",
            &address,
            "--history-url",
            "sqlite:file/history.db",
            "--worker-listen",
            "127.0.0.1:7",
            "--notifier-listen",
            "127.0.0.1:7",
        ],
    )
    .await;
    assert_eq!(code, Some(1));
    for (name, remedy) in [
        ("database", "make sure it is a database file"),
        ("history", "configure another place"),
        ("api port", "TBX_API_LISTEN"),
        ("worker port", "TBX_WORKER_LISTEN"),
    ] {
        assert!(lines[name].starts_with("fail") && lines[name].contains(remedy), "{}", lines[name]);
    }
}

#[tokio::test]
async fn what_should_be_looked_at_warns() {
    let setup = Setup::new();
    let arguments = [
        "--auth",
        "insecure",
        "--worker-listen",
        "0.0.0.0:0",
        "--history-url",
        "memory:",
        "--max-connections",
        "1000000",
    ];
    let (code, lines) = examined(&setup, &arguments).await;
    assert_eq!(code, Some(0), "{lines:#?}");
    for (name, text) in
        [("auth", "0.0.0.0:0"), ("history", "TBX_HISTORY_URL"), ("open files", "LimitNOFILE=3000128")]
    {
        assert!(lines[name].starts_with("warn") && lines[name].contains(text), "{}", lines[name]);
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_one_failed_check_and_wrong_use() {
    let (code, lines) = examined(&Setup::new().with("TBX_KEEP_ALIVE", "soon"), &[]).await;
    assert_eq!((code, lines.len()), (Some(2), 1), "{lines:#?}");
    assert!(lines["configuration"].contains("TBX_KEEP_ALIVE: \"soon\""), "{lines:#?}");
    let (code, lines) = examined(&Setup::new().with("TBX_BUS_URL", "none:"), &[]).await;
    assert_eq!(code, Some(2), "{lines:#?}");
    assert!(lines["configuration"].starts_with("fail") && lines.len() > 1, "{lines:#?}");
}
