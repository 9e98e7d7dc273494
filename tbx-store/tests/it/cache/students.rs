//! Students in Redis: the road of a change while the cache is away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tbx_core::memory::MemoryStudents;
use tbx_core::{
    AnnounceError, Announcer, Clock, Context, CreateStudentHandler, DeleteStudent, DeleteStudentHandler,
    EventId, Freshness, GetStudent, GetStudentHandler, ProcessStudentEventHandler, Student, StudentCache,
    StudentEvent, StudentInput, StudentRef, SystemClock, UpdateStudent, UpdateStudentHandler, UseCaseError,
};
use tbx_services::{Keyspace, Relay};
use tbx_store::cache::RedisCache;
use tbx_store::students::CachedStudents;

use super::{DEADLINE, cache};

fn ctx() -> Context {
    Context::new(SystemClock.now())
}

fn input<'a>(last_name: &'a str, email: &'a str) -> StudentInput<'a> {
    StudentInput { first_name: Some("Ada"), last_name: Some(last_name), email: Some(email) }
}

/// Remembers whose announcements were made.
#[derive(Debug, Default)]
struct Announced(Mutex<Vec<EventId>>);

#[async_trait]
impl Announcer for Announced {
    async fn announce_cached(
        &self,
        cause: &StudentEvent,
        _: &Student,
        _: &Context,
    ) -> Result<(), AnnounceError> {
        self.0.lock().unwrap().push(cause.id);
        Ok(())
    }
}

/// A process: its cache, its way to the cache, and the use cases on the one store.
struct Process {
    cache: RedisCache,
    relay: Relay,
    students: Arc<MemoryStudents>,
    _keeping: KeepingUp,
}

struct KeepingUp(tokio::task::JoinHandle<()>);

impl Drop for KeepingUp {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Process {
    async fn start(keyspace: &Keyspace, students: &Arc<MemoryStudents>) -> Self {
        let relay = Relay::start(keyspace.address()).await;
        let cache = cache(&keyspace.url_through(&relay), keyspace);
        cache.ping().await.unwrap();
        let kept = cache.clone();
        let keeping = KeepingUp(tokio::spawn(async move { kept.keep_up().await }));
        Self { cache, relay, students: Arc::clone(students), _keeping: keeping }
    }

    fn at_hand(&self) -> Arc<dyn StudentCache> {
        Arc::new(CachedStudents::new(Arc::new(self.cache.clone())))
    }

    async fn create(&self, email: &str) -> Student {
        let handler = CreateStudentHandler::new(self.students.clone(), self.at_hand());
        handler.execute(&ctx(), input("Lovelace", email).create().unwrap()).await.unwrap()
    }

    async fn change(&self, student: StudentRef, email: &str) -> Student {
        let handler = UpdateStudentHandler::new(self.students.clone(), self.at_hand());
        let change = input("King", email).change().unwrap();
        handler.execute(&ctx(), UpdateStudent { student, expected: None, change }).await.unwrap()
    }

    async fn delete(&self, student: StudentRef) {
        let handler = DeleteStudentHandler::new(self.students.clone(), self.at_hand());
        handler.execute(&ctx(), DeleteStudent { student, expected: None }).await.unwrap();
    }

    /// The version that is read, and zero when there is no such student.
    async fn reads(&self, student: StudentRef) -> u64 {
        let handler = GetStudentHandler::new(self.students.clone(), self.at_hand());
        match handler.execute(&ctx(), GetStudent { student, freshness: Freshness::Cached }).await {
            Ok(student) => student.version.get(),
            Err(UseCaseError::NotFound) => 0,
            Err(error) => panic!("{error}"),
        }
    }

    async fn works_off(&self, event: StudentEvent, announced: &Arc<Announced>) {
        let voice: Arc<dyn Announcer> = announced.clone();
        let handler = ProcessStudentEventHandler::new(self.students.clone(), self.at_hand(), voice);
        assert!(handler.execute(&ctx(), event).await.unwrap().first_time);
    }
}

#[tokio::test]
async fn after_an_outage_nobody_reads_what_was_changed_or_deleted_meanwhile() {
    let (keyspace, students) = (Keyspace::new(), Arc::new(MemoryStudents::new()));
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Process::start(&keyspace, &students).await);
    }
    let [writing, reading, worker] = &processes[..] else { unreachable!() };
    let announced = Arc::new(Announced::default());
    let changed = writing.create("ada@example.org").await;
    let deleted = writing.create("grace@example.org").await;
    for event in students.events() {
        worker.works_off(event, &announced).await;
    }
    assert_eq!(announced.0.lock().unwrap().len(), 2);
    assert_eq!(reading.reads(changed.id.into()).await, 1);

    for Process { relay, .. } in &processes {
        relay.refuse();
        relay.cut().await;
    }
    assert_eq!(writing.change(changed.id.into(), "ada@example.org").await.version.get(), 2);
    writing.delete(deleted.id.into()).await;
    for event in students.events().split_off(2) {
        worker.works_off(event, &announced).await;
    }
    assert_eq!(students.notifications().len(), 4, "the outage holds up no effect");
    assert_eq!(announced.0.lock().unwrap().len(), 2, "and what is not cached is not announced");
    assert_eq!(reading.reads(changed.id.into()).await, 2);

    for Process { relay, .. } in &processes {
        relay.accept();
    }
    // Throughout the recovery, and until both read from the cache again.
    let recovery = async {
        let mut cached = 0;
        while cached < 2 {
            cached = 0;
            for process in [writing, reading] {
                for (student, version) in [(&changed, 2), (&deleted, 0)] {
                    assert_eq!(process.reads(student.id.into()).await, version);
                    assert_eq!(process.reads(student.number.into()).await, version);
                }
                let found = process.at_hand().get(changed.id.into()).await;
                cached += usize::from(found != tbx_core::CacheLookup::Miss);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, recovery).await.expect("read from the cache in time");
}
