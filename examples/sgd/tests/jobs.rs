//! The program as users run it.

use app_report::testing::run;

const SGD: &str = env!("CARGO_BIN_EXE_sgd");

#[test]
fn every_layout_trains_the_serial_model() {
    for options in
        [&["-n", "1"][..], &["-n", "3", "--channel", "tcp"], &["-n", "5", "--packs", "2"]]
    {
        let arguments = ["--features", "64", "--steps", "60", "--check", "--json"];
        let json = run(options, SGD, &arguments).json();
        let check = "equal to a serial run, with and without overlap: ok";
        assert_eq!(json["facts"]["check"], check, "{options:?}");
        assert!(json["facts"]["rows classified right"].as_f64().unwrap() > 0.5, "{json}");
        assert_eq!(json["phases"][3]["name"], "overlapped");
    }
}

#[test]
fn more_ranks_than_rows_in_a_batch() {
    let arguments = ["--features", "8", "--steps", "5", "--batch", "3", "--check"];
    let ran = run(&["-n", "6", "--packs", "2"], SGD, &arguments);
    assert!(ran.ok && ran.stdout.contains("overlapped"), "{ran:?}");
}

#[test]
fn a_file_that_is_not_there_is_told_once() {
    let ran = run(&["-n", "4", "--packs", "2"], SGD, &["--data", "/none.csv"]);
    assert!(!ran.ok && ran.stderr.matches("/none.csv").count() == 1, "{ran:?}");
}
