#[derive(serde::Serialize, serde::Deserialize, fmi::Message)]
struct Line<'a> {
    text: &'a str,
}

fn main() {}
