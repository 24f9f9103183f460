//! Tests of `[algorithms]`.

use super::*;

fn rules(text: &str) -> Vec<Rule> {
    Config::from_toml_str("fmi.toml", text).unwrap().algorithms
}

fn refused(text: &str, message: &str) {
    let wrong = Config::from_toml_str("fmi.toml", text).expect_err(text);
    assert_eq!(wrong.to_string(), format!("fmi.toml:{message}"), "{text}");
}

fn rule(name: &str) -> Rule {
    Rule::always(Algorithm::find(name).unwrap())
}

#[test]
fn a_name_holds_everywhere() {
    let text = "[algorithms]\nallreduce = \"ring\"\nbcast = \"chain\"\n";
    assert_eq!(rules(text), [rule("allreduce/ring"), rule("bcast/chain")]);
}

#[test]
fn a_table_has_bounds_and_both_belong_to_it() {
    let text = "[algorithms]\nallreduce = { algorithm = \"ring\", min_bytes = \"1 MiB\", \
                max_bytes = 2097152, min_ranks = 3, max_ranks = 8 }\n";
    let expected = rule("allreduce/ring").from_bytes(1 << 20).below_bytes((2 << 20) + 1);
    assert_eq!(rules(text), [expected.from_size(3).below_size(9)]);
    let text = "[algorithms.scan]\nalgorithm = \"chain\"\nmin_bytes = 0\n";
    assert_eq!(rules(text), [rule("scan/chain")]);
}

#[test]
fn a_list_is_tried_in_its_order() {
    let text = "[algorithms]\nallreduce = [\n  { algorithm = \"ring\", min_bytes = \"1 MiB\" },\n  \
                \"rabenseifner\",\n]\n";
    let expected = [rule("allreduce/ring").from_bytes(1 << 20), rule("allreduce/rabenseifner")];
    assert_eq!(rules(text), expected);
    let config = Config::from_toml_str("f", text).unwrap();
    assert_eq!(config.table().rules()[..2], expected);
    assert_eq!(config.table().rules()[2..], *Table::default().rules());
}

#[test]
fn mistakes_are_told_with_their_place() {
    refused(
        "[algorithms]\nallreduce = \"rign\"",
        "2:13: algorithms.allreduce: \"rign\" is no algorithm for allreduce: did you mean \"ring\"?",
    );
    refused(
        "[algorithms]\nscan = \"quick\"",
        "2:8: algorithms.scan: \"quick\" is no algorithm for scan: there are hillis_steele, \
         up_down, chain, star, packed",
    );
    refused(
        "[algorithms]\nalreduce = \"ring\"",
        "2:1: unknown key \"algorithms.alreduce\": did you mean \"algorithms.allreduce\"?",
    );
    refused(
        "[algorithms]\nbcast = [\n  \"chain\",\n  { algorithm = \"chain\", min_byte = 1 },\n]",
        "4:26: unknown key \"algorithms.bcast.min_byte\": did you mean \
         \"algorithms.bcast.min_bytes\"?",
    );
    refused(
        "[algorithms]\nbcast = { algorithm = \"chian\" }",
        "2:23: algorithms.bcast: \"chian\" is no algorithm for bcast: did you mean \"chain\"?",
    );
    refused(
        "[algorithms]\nbcast = { min_bytes = 1 }",
        "2:9: algorithms.bcast: names no algorithm: add algorithm = \"binomial\"",
    );
    refused(
        "[algorithms]\nbcast = 3",
        "2:9: algorithms.bcast: must be a name in quotes, a table with algorithm = \"…\", or a \
         list of them, not a whole number",
    );
    refused(
        "[algorithms]\nbcast = { algorithm = \"chain\", min_bytes = \"lots\" }",
        "2:44: algorithms.bcast.min_bytes: \"lots\" is no size: write a number and B, kB, MB, GB, \
         KiB, MiB or GiB",
    );
    refused(
        "[algorithms]\nbcast = { algorithm = \"chain\", min_ranks = 9, max_ranks = 8 }",
        "2:9: algorithms.bcast: min_ranks is above max_ranks: the rule would never apply",
    );
    refused("algorithms = 3", "1:14: algorithms: must be a table, not a whole number");
}

#[test]
fn setters_take_the_environments_form() {
    let config = Config::default().algorithms("allreduce/ring").unwrap();
    assert_eq!(config.algorithms, [rule("allreduce/ring")]);
    let wrong = Config::default().algorithms("allreduce/rign").unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "algorithms: \"rign\" is no algorithm for allreduce: did you mean \"ring\"?"
    );
}

#[test]
fn the_jobs_table_reaches_its_communicators() {
    let config = Config::default().size(3).algorithms("scan/chain,allreduce/ring").unwrap();
    let expected = config.table();
    assert_ne!(expected, Table::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = runtime.block_on(config.clone().join_all()).unwrap();
    assert!(all.iter().all(|comm| comm.table() == &expected));
    assert!(all.iter().all(|comm| comm.dup().table() == &expected));
    let main = move |context: crate::Context| {
        let same = context.table() == &expected;
        async move {
            let sum = context.allreduce(vec![1_u32; 100], crate::op::sum()).await;
            assert!(same && sum.unwrap()[..] == [3; 100]);
        }
    };
    crate::run_with(config, main).unwrap();
}
