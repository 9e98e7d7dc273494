//! The process, as Linux tells of it in `/proc`. What cannot be read, as on other systems, is left out.

use std::fs;

use super::exposition::{Kind, write_value};

/// Clock ticks a second in `/proc`, the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// Writes the usual `process_…` families. Blocks for as long as it takes to list the open files.
pub(super) fn write_process(text: &mut String) {
    let values = [
        (
            Kind::Gauge,
            "process_start_time_seconds",
            "Start of the process in seconds since 1970.",
            started_seconds(),
        ),
        (
            Kind::Counter,
            "process_cpu_seconds_total",
            "Processor time used, user and system.",
            stat().map(|stat| stat.cpu_seconds),
        ),
        (Kind::Gauge, "process_resident_memory_bytes", "Memory in use.", resident_bytes()),
        (Kind::Gauge, "process_open_fds", "File descriptors that are open.", open_files()),
        (Kind::Gauge, "process_max_fds", "File descriptors that may be open.", max_files()),
    ];
    for (kind, name, help, value) in values {
        if let Some(value) = value {
            write_value(text, kind, name, help, value);
        }
    }
}

struct Stat {
    cpu_seconds: f64,
    /// After the start of the system.
    started_seconds: f64,
}

fn stat() -> Option<Stat> {
    parse_stat(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The second field is the name of the program, which may hold blanks and parentheses.
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    // Numbered from 1 in proc_pid_stat(5); the first one here is the third there.
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(Stat { cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS, started_seconds: ticks(22)? / TICKS })
}

fn started_seconds() -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + stat()?.started_seconds)
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_files() -> Option<f64> {
    // One of them is the list itself.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn max_files() -> Option<f64> {
    crate::limits::open_files().map(|most| most as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "7 (a b) (c) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 1234 0 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.cpu_seconds, stat.started_seconds), (2.0, 12.34));
        assert!(parse_stat("7 (x) S").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn every_family_is_there_on_linux() {
        let mut text = String::new();
        write_process(&mut text);
        assert_eq!(text.matches("# TYPE process_").count(), 5, "{text}");
    }
}
