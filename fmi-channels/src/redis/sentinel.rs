//! Which server is the master, from those who watch over it.

use super::{
    connection::{Opening, login},
    trouble::Trouble,
    url::{Address, Target},
};
use redis::{Value, cmd};

/// The master of a name. The first sentinel that knows it is believed.
pub(super) async fn master(
    name: &str,
    target: &Target,
    opening: &Opening,
) -> Result<Address, Trouble> {
    let own = login(target.sentinel_user.as_deref(), target.sentinel_password.as_deref(), 0);
    let opening = Opening { login: own, ..opening.clone() };
    let mut last = Trouble::passing(format!("no sentinel knows a master {name:?}"));
    for sentinel in &target.servers {
        match ask(name, sentinel, &opening).await {
            Ok(Some(master)) => return Ok(master),
            Ok(None) => {}
            Err(trouble) => last = trouble,
        }
    }
    Err(last)
}

async fn ask(
    name: &str,
    sentinel: &Address,
    opening: &Opening,
) -> Result<Option<Address>, Trouble> {
    let connection = opening.open(sentinel, None).await?;
    let mut question = cmd("SENTINEL");
    question.arg("get-master-addr-by-name").arg(name);
    let Value::Array(answer) = connection.ask(question).await? else { return Ok(None) };
    let [Value::BulkString(host), Value::BulkString(port)] = &answer[..] else { return Ok(None) };
    let host = String::from_utf8(host.clone()).ok();
    let port = std::str::from_utf8(port).ok().and_then(|port| port.parse().ok());
    Ok(host.zip(port).map(|(host, port)| Address { host, port }))
}
