//! The store in memory passes the suite it is the reference of.

use std::sync::Arc;

use async_trait::async_trait;
use tbx_core::conformance::students::StudentsHarness;
use tbx_core::memory::MemoryStudents;
use tbx_core::{EventId, StudentEvent, Students};

tbx_core::students_conformance!(memory());

async fn memory() -> Memory {
    Memory { students: MemoryStudents::new() }
}

struct Memory {
    students: MemoryStudents,
}

#[async_trait]
impl StudentsHarness for Memory {
    fn students(&self) -> Arc<dyn Students> {
        Arc::new(self.students.clone())
    }

    async fn emitted(&self) -> Vec<StudentEvent> {
        self.students.events()
    }

    async fn notified(&self) -> Vec<EventId> {
        self.students.notifications().iter().map(|event| event.id).collect()
    }
}
