#[derive(serde::Serialize, serde::Deserialize, fmi::Message)]
#[message(tag = 3)]
struct Shard {
    first_row: usize,
}

fn main() {}
