//! How a server is set up, as far as it matters here.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError};

use super::super::contract::HistoryError;
use super::error::failed;
use super::link::connect;
use super::options::RedisHistoryOptions;

/// The oldest version whose streams can be trimmed by offset.
const MIN_VERSION: (u64, u64) = (6, 2);
/// By how much clocks may differ before it is worth a word.
const MAX_SKEW: Duration = Duration::from_secs(5);

/// How a Redis server is set up, as far as it matters to a history. What the server does not tell this user is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisFacts {
    /// Its version.
    pub version: Option<String>,
    /// Whether it copies another server and takes no writes.
    pub is_replica: Option<bool>,
    /// Whether it writes what it takes to a file (`appendonly`).
    pub append_only: Option<bool>,
    /// When that file reaches the disk (`appendfsync`): `always`, `everysec` or `no`.
    pub append_fsync: Option<String>,
    /// The most memory it uses (`maxmemory`), in bytes; 0 when it has no bound.
    pub max_memory: Option<u64>,
    /// What it gives up when its memory is full (`maxmemory-policy`).
    pub eviction: Option<String>,
    /// By how much its clock is ahead of that of this process, or behind.
    pub clock_skew: Option<ClockSkew>,
}

/// By how much a clock differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockSkew {
    /// It is ahead.
    Ahead(Duration),
    /// It is behind.
    Behind(Duration),
}

impl RedisFacts {
    /// Asks the server of a history, on a connection of its own. Changes nothing.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or does not let this process in; says what to do.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn of(options: &RedisHistoryOptions) -> Result<Self, HistoryError> {
        let mut connection = connect(&options.client()?, Duration::ZERO).await?;
        Self::read(&mut connection).await
    }

    /// What is wrong, or may be, each with its remedy; nothing when all is well.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints: Vec<String> = self.refusal().into_iter().collect();
        let mut complain = |complaint: &str| complaints.push(complaint.to_owned());
        match (self.append_only, self.append_fsync.as_deref()) {
            (Some(false), _) => complain(
                "it keeps nothing over a restart, and clients miss what it loses; set appendonly yes and appendfsync always",
            ),
            (_, Some("everysec" | "no")) => {
                complain("a crash of its machine loses the latest notifications; set appendfsync always");
            }
            (None, _) | (Some(true), None) => complain(
                "it does not tell whether it persists; let its user run CONFIG GET and INFO, or see to appendonly yes and appendfsync always",
            ),
            (Some(true), Some(_)) => {}
        }
        match self.eviction.as_deref() {
            Some(policy) if policy.starts_with("allkeys-") && self.max_memory == Some(0) => {
                complain(
                    "it would evict notifications if it had a maxmemory; set maxmemory-policy noeviction",
                );
            }
            Some(_) => {}
            None => complain("it does not tell whether it evicts keys; see to maxmemory-policy noeviction"),
        }
        if let Some(skew) = self.clock_skew {
            let (ClockSkew::Ahead(by) | ClockSkew::Behind(by)) = skew;
            if by > MAX_SKEW {
                let direction = if matches!(skew, ClockSkew::Ahead(_)) { "ahead" } else { "behind" };
                complain(&format!(
                    "its clock is {} s {direction}; synchronize the clocks of both machines",
                    by.as_secs()
                ));
            }
        }
        complaints
    }

    /// Refuses a server on which a history would not keep what it promises.
    pub(super) fn refuse_unusable(&self) -> Result<(), HistoryError> {
        self.refusal()
            .map_or(Ok(()), |why| Err(HistoryError::new(format!("redis cannot hold it: {why}")).lasting()))
    }

    /// Why a history does not open here, with the remedy; the first of the complaints then.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        if let Some(version) = &self.version
            && parse_version(version).is_some_and(|version| version < MIN_VERSION)
        {
            return Some(format!("it is version {version}; install 6.2 or later"));
        }
        if self.is_replica == Some(true) {
            return Some("it is a replica and takes no writes; name the primary".to_owned());
        }
        if let (Some(policy), Some(1..)) = (&self.eviction, self.max_memory)
            && policy.starts_with("allkeys-")
        {
            return Some(format!(
                "it evicts notifications when its memory is full (maxmemory-policy {policy}); set maxmemory-policy noeviction"
            ));
        }
        None
    }

    pub(super) async fn read(connection: &mut MultiplexedConnection) -> Result<Self, HistoryError> {
        let mut facts = Self::default();
        if let Some(info) = allowed::<String>(connection, &["INFO"]).await? {
            let fields: HashMap<&str, &str> =
                info.lines().filter_map(|line| line.trim().split_once(':')).collect();
            facts.version = fields.get("redis_version").map(|version| (*version).to_owned());
            facts.is_replica = fields.get("role").map(|role| *role == "slave");
            facts.append_only = fields.get("aof_enabled").map(|enabled| *enabled == "1");
            facts.max_memory = fields.get("maxmemory").and_then(|bytes| bytes.parse().ok());
            facts.eviction = fields.get("maxmemory_policy").map(|policy| (*policy).to_owned());
        }
        let fsync = allowed::<HashMap<String, String>>(connection, &["CONFIG", "GET", "appendfsync"]).await?;
        facts.append_fsync = fsync.and_then(|mut settings| settings.remove("appendfsync"));
        if let Some([seconds, microseconds]) = allowed::<[u64; 2]>(connection, &["TIME"]).await? {
            let theirs = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(microseconds);
            facts.clock_skew = Some(match theirs.duration_since(SystemTime::now()) {
                Ok(ahead) => ClockSkew::Ahead(ahead),
                Err(behind) => ClockSkew::Behind(behind.duration()),
            });
        }
        Ok(facts)
    }
}

/// The answer to a command; `None` when this user may not give it, or the server does not know it.
async fn allowed<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    command: &[&str],
) -> Result<Option<T>, HistoryError> {
    let (name, arguments) = command.split_first().unwrap_or((&"PING", &[]));
    match redis::cmd(name).arg(arguments).query_async(connection).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_forbidden(&error) => Ok(None),
        Err(error) => Err(failed("asking how redis is set up", &error)),
    }
}

fn is_forbidden(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOPERM" | "ERR"))
}

fn parse_version(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> RedisFacts {
        RedisFacts {
            version: Some("7.0.15".to_owned()),
            is_replica: Some(false),
            append_only: Some(true),
            append_fsync: Some("always".to_owned()),
            max_memory: Some(0),
            eviction: Some("noeviction".to_owned()),
            clock_skew: Some(ClockSkew::Behind(Duration::from_millis(3))),
        }
    }

    #[test]
    fn a_server_that_is_set_up_well_gives_no_cause_for_complaint() {
        assert!(well().complaints().is_empty(), "{:?}", well().complaints());
        assert!(well().refuse_unusable().is_ok());
    }

    #[test]
    fn each_fault_is_told_with_its_remedy() {
        let evicting = Some("allkeys-lru".to_owned());
        for (facts, remedy, is_refused) in [
            (RedisFacts { version: Some("6.0.16".to_owned()), ..well() }, "install 6.2", true),
            (RedisFacts { is_replica: Some(true), ..well() }, "name the primary", true),
            (
                RedisFacts { max_memory: Some(1), eviction: evicting.clone(), ..well() },
                "policy noeviction",
                true,
            ),
            (RedisFacts { eviction: evicting, ..well() }, "policy noeviction", false),
            (RedisFacts { append_only: Some(false), ..well() }, "set appendonly yes", false),
            (
                RedisFacts { append_fsync: Some("everysec".to_owned()), ..well() },
                "set appendfsync always",
                false,
            ),
            (RedisFacts { append_only: None, append_fsync: None, ..well() }, "does not tell", false),
            (
                RedisFacts { clock_skew: Some(ClockSkew::Ahead(Duration::from_secs(90))), ..well() },
                "90 s ahead",
                false,
            ),
        ] {
            let complaints = facts.complaints();
            assert!(complaints.iter().any(|complaint| complaint.contains(remedy)), "{complaints:?}");
            assert_eq!(facts.refuse_unusable().is_err(), is_refused, "{remedy}");
        }
    }
}
