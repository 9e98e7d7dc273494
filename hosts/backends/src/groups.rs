//! The groups of both channels. Every process declares all of them, so that nothing is lost to one whose consumers start later.

use std::time::Duration;

use tbx_bus::{Group, TopicPattern};
use tbx_core::published::{NOTIFIER_GROUP, WORKER_GROUP};
use tbx_service::Config;
use tbx_service::config::HistoryUrl;

use crate::OpenHistory;

/// How long the queue of a notifier that has a history of its own waits for it. One that is away for longer has missed what came meanwhile.
const KEPT_FOR_AN_ABSENT_NOTIFIER: Duration = Duration::from_secs(7 * 24 * 3600);

/// `tbx.worker`: every event of the students' channel, one worker active at a time, so that each student's events are worked off in order.
pub fn worker() -> Group {
    Group::new(WORKER_GROUP, [TopicPattern::everything()]).with_single_active()
}

/// `tbx.notifier`: every notification, private ones too because the hub keeps their rule; one notifier active at a time, so that the history has each
/// student's notifications in order.
pub fn notifier() -> Group {
    notifications(NOTIFIER_GROUP)
}

/// The group by which notifications come into a history on a broker: that of all notifiers when they share the history, else one for each history. A
/// process without a history of its own knows none of the latter.
pub(crate) fn notifier_of(config: &Config, history: Option<&OpenHistory>) -> Option<Group> {
    if let HistoryUrl::Redis(_) = config.history_url {
        return Some(notifier());
    }
    let epoch = history?.shared().bounds().epoch.get();
    Some(notifications(&format!("{NOTIFIER_GROUP}.{epoch:x}")).with_expiry(KEPT_FOR_AN_ABSENT_NOTIFIER))
}

fn notifications(name: &str) -> Group {
    Group::new(name, [TopicPattern::everything()])
        .with_private_topics()
        .with_single_active()
        .with_prefetch(256)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn with_history(url: &str) -> Config {
        let flags = [("history-url".to_owned(), url.to_owned())];
        Config::load(&flags, std::iter::empty(), Path::new(".")).unwrap().config
    }

    #[tokio::test]
    async fn only_the_queue_of_a_notifier_with_a_history_of_its_own_expires() {
        let own = with_history("memory:");
        let history = OpenHistory::open(&own).await.unwrap();
        let group = notifier_of(&own, Some(&history)).unwrap();
        assert!(group.name().starts_with("tbx.notifier."), "{group:?}");
        assert_eq!(group.expiry(), Some(KEPT_FOR_AN_ABSENT_NOTIFIER));
        assert!(notifier_of(&own, None).is_none());
        for shared in [notifier(), notifier_of(&with_history("redis://localhost"), None).unwrap(), worker()] {
            assert_eq!(shared.expiry(), None, "{shared:?}");
        }
    }
}
