struct Program;

impl Program {
    #[fmi::rank]
    async fn start(&self) {}
}

fn main() {}
