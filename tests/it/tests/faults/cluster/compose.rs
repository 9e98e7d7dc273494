//! What docker-compose.yml tells its hosts, so that what is tested is what compose starts.

use yaml_rust2::{Yaml, YamlLoader};

/// The variables of the hosts, as they stand in the file.
pub(super) fn environment() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker-compose.yml");
    let file = YamlLoader::load_from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let services = &file[0]["services"];
    let environment = &services["api"]["environment"];
    for host in ["worker", "notifier", "migrate"] {
        assert_eq!(&services[host]["environment"], environment, "the same for every host");
    }
    let text = |value: &Yaml| value.as_str().unwrap().to_owned();
    environment.as_hash().unwrap().iter().map(|(name, value)| (text(name), text(value))).collect()
}
