"""From how hosts look to a lab, or to the sentence that refuses one: no host is asked."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm.lab import controllers, hosts, orders, plan, remote
from slurm.lab.controllers import Heartbeat
from slurm.lab.errors import ClusterError
from slurm.lab.gpulist import kind, of_names, of_proc
from slurm.lab.hosts import Gpu, Look
from slurm.lab.looking import mount
from slurm.lab.orders import Answer, LabOrder, LookOrder
from slurm.lab.record import FORMAT, Lab
from slurm.lab.unpacking import names_of
from slurm.lab.waiting import away, node_states

NONCE = "abc"


def a_look(name: str, number: int = 1, **changes: object) -> Look:
    found = Look(
        hostname=name,
        user="mai",
        uid=2001,
        boot=f"boot of {name}",
        clock=100.0,
        cores=8,
        memory_mb=64000,
        address=f"10.0.0.{number}",
        caller="10.0.0.9",
        slurm="22.05.8",
        system="debian-12",
        seen=NONCE,
    )
    return msgspec.structs.replace(found, **changes)


def a_lab(**looks: Look) -> Lab:
    addresses = plan.addresses(looks)
    members = tuple(
        plan.member(name, look, addresses[name], version=look.slurm or look.unpacked, unpacked=not look.slurm)
        for name, look in looks.items()
    )
    return Lab(format=FORMAT, id="a1b2c3", folder="/srv/lab", user="mai", uid=2001, port=20000, members=members)


THREE = {"usagi": a_look("usagi", 1), "tanuki": a_look("tanuki", 2), "kitsune": a_look("kitsune", 3)}


def wrong(looks: dict[str, Look], off: dict[str, float] | None = None) -> list[str]:
    clocks = {name: (off or {}).get(name, 0.0) for name in looks}
    found = hosts.problems(looks, clocks, user="mai", uid=2001, folder="/srv/lab", nonce=NONCE)
    return [sentence for _, sentence in found]


def test_three_sound_hosts_are_a_lab() -> None:
    assert wrong(THREE) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda look: msgspec.structs.replace(look, boot="boot of usagi"), "tanuki and usagi are the same host"),
        (lambda look: msgspec.structs.replace(look, uid=7, user="mai2"), "mai2 with the user id 7 on tanuki, and mai"),
        (lambda look: msgspec.structs.replace(look, seen=""), "tanuki does not see /srv/lab as this host does"),
        (lambda look: msgspec.structs.replace(look, maps=False), "cannot be mapped into memory on tanuki"),
        (lambda look: msgspec.structs.replace(look, taken=("6817 (slurmctld of root, pid 8)",)), "6817 (slurmctld of"),
        (lambda look: msgspec.structs.replace(look, hostname="usagi"), ""),
    ],
)
def test_what_keeps_a_host_out_is_one_sentence_with_the_mend(change: Callable[[Look], Look], sentence: str) -> None:
    found = wrong({**THREE, "tanuki": change(THREE["tanuki"])})
    assert len(found) == (1 if sentence else 0)
    assert all(sentence in one and "\n" not in one and ": " in one for one in found)


@pytest.mark.parametrize(("seconds", "word"), [(3600.0, "3600 s ahead"), (-3600.0, "3600 s behind")])
def test_a_wrong_clock_is_named(seconds: float, word: str) -> None:
    assert [word in one for one in wrong(THREE, {"kitsune": seconds})] == [True]
    assert wrong(THREE, {"kitsune": seconds / 100}) == []


def test_of_three_clocks_the_one_that_differs_is_wrong_also_where_it_is_ours() -> None:
    assert hosts.by_most({"usagi": -3592.0, "tanuki": -3593.0, "kitsune": 0.0}) == {
        "usagi": 0.0,
        "tanuki": -1.0,
        "kitsune": 3592.0,
    }
    for off in ({"usagi": 0.0, "tanuki": 3.0, "kitsune": 3600.0}, {"usagi": 0.0, "tanuki": 3600.0}, {}):
        assert hosts.by_most(off) == off


def test_a_clock_counts_as_right_for_as_long_as_the_question_took() -> None:
    look = a_look("usagi", clock=105.0)
    assert hosts.clock_off(look, before=100.0, after=110.0) == 0.0
    assert hosts.clock_off(look, before=100.0, after=102.0) == 3.0
    assert hosts.clock_off(look, before=107.0, after=109.0) == -2.0


def test_two_names_for_one_node_are_refused() -> None:
    looks = {"10.0.0.1": a_look("usagi"), "usagi": a_look("usagi", boot="another")}
    assert "would both be usagi for SLURM" in wrong(looks)[0]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["usagi", "tanuki", "usagi"], "usagi is named twice"),
        (["mai@usagi"], "'mai@usagi' is no name of a host"),
        (["-oProxyCommand=x"], "is no name of a host"),
        ([""], "'' is no name of a host"),
    ],
)
def test_names_that_are_none(names: list[str], sentence: str) -> None:
    with pytest.raises(ClusterError, match=re.escape(sentence)):
        hosts.check_names(names)


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ("22.05.8", "22.05.2", True),
        ("22.05.8", "23.11.1", True),
        ("22.05.8", "24.05.0", False),
        ("20.11.9", "26.05", False),
    ],
)
def test_releases_of_slurm_that_understand_each_other(one: str, other: str, fits: bool) -> None:
    versions = {"usagi": one, "tanuki": other}
    if fits:
        hosts.check_versions(versions)
        return
    with pytest.raises(ClusterError, match=r"SLURM is .* on usagi and .* on tanuki"):
        hosts.check_versions(versions)


def test_a_release_that_never_was() -> None:
    with pytest.raises(ClusterError, match=r"SLURM 17\.02 is none that orch knows"):
        hosts.check_versions({"usagi": "17.02"})


def test_the_controller_is_the_first_host_of_the_newest_slurm_and_its_backup_of_the_same() -> None:
    old, new = a_look("usagi"), a_look("tanuki", 2, slurm="23.02.1")
    assert [one.name for one in a_lab(usagi=old, tanuki=new).controllers()] == ["tanuki"]
    assert [one.name for one in a_lab(**THREE).controllers()] == ["usagi", "tanuki"]


def test_addresses_are_those_that_others_reach() -> None:
    looks = {
        "here": a_look("here", address="", caller=""),
        "loop": a_look("loop", address="127.0.0.1", caller="127.0.0.1"),
    }
    assert plan.addresses({**looks, "far": a_look("far", 3)}) == {
        "here": "10.0.0.9",
        "loop": "10.0.0.9",
        "far": "10.0.0.3",
    }
    assert plan.addresses({"here": looks["here"]}) == {"here": "127.0.0.1"}


def test_slurm_conf_names_controllers_nodes_and_one_socket_for_all() -> None:
    gpus = tuple(Gpu(device=f"/dev/nvidia{number}", model="NVIDIA GeForce RTX 3090") for number in range(2))
    lab = a_lab(**{**THREE, "kitsune": a_look("kitsune", 3, gpus=gpus)})
    lines = plan.slurm_conf(lab).splitlines()
    assert [line for line in lines if line.startswith("SlurmctldHost=")] == [
        "SlurmctldHost=usagi(10.0.0.1)",
        "SlurmctldHost=tanuki(10.0.0.2)",
    ]
    node = "NodeName=kitsune NodeHostname=kitsune NodeAddr=10.0.0.3"
    assert f"{node} CPUs=8 RealMemory=60800 Gres=gpu:rtx_3090:2 State=UNKNOWN" in lines
    assert "AuthInfo=socket=/tmp/orch-lab-2001-a1b2c3/munge/munge.sock,cred_expire=5" in lines
    assert "StateSaveLocation=/srv/lab/state" in lines
    assert not any(line.startswith("PluginDir") for line in lines)
    keys = [line.partition("=")[0].lower() for line in lines if not line.startswith(("SlurmctldHost", "NodeName"))]
    assert len(keys) == len(set(keys)), "SLURM refuses a key that is given twice"
    assert plan.gres_conf(lab).splitlines() == [
        f"NodeName=kitsune Name=gpu Type=rtx_3090 File=/dev/nvidia{number}" for number in range(2)
    ]


def test_an_unpacked_slurm_has_its_plugins_behind_one_link_for_all() -> None:
    lab = a_lab(usagi=THREE["usagi"], tanuki=a_look("tanuki", 2, slurm="", unpacked="22.05.8"))
    assert "PluginDir=/tmp/orch-lab-2001-a1b2c3/plugins" in plan.slurm_conf(lab).splitlines()


@pytest.mark.parametrize(
    ("found", "who"),
    [
        ("nfs4 tanuki:/export", "tanuki"),
        ("nfs 10.0.0.2:/export", "tanuki"),
        ("fuse.sshfs mai@tanuki.lab.example:/srv", "tanuki"),
        ("nfs4 filer:/vol/home", "filer"),
        ("ext4 /dev/sda1", ""),
        ("", ""),
    ],
)
def test_who_serves_the_shared_folder(found: str, who: str) -> None:
    assert plan.mounted_from(found, a_lab(**THREE).members) == who


def test_the_mount_of_a_folder_is_the_innermost_and_the_latest() -> None:
    table = (
        "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "40 21 0:40 / /home rw - nfs4 filer:/home rw,vers=4.2\n"
        "41 40 0:41 / /home/with\\040space rw - nfs4 filer:/space rw\nnonsense\n"
    )
    assert mount(table, "/home/mai/x") == "nfs4 filer:/home"
    assert mount(table, "/home/with space/x") == "nfs4 filer:/space"
    assert mount(table, "/homely") == "ext4 /dev/sda1"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("ssh: Could not resolve hostname usagi: Name or service not known", "there is no host usagi"),
        (
            "No ED25519 host key is known for usagi.\nHost key verification failed.",
            "the key of usagi is not known here",
        ),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "is another one than before",
        ),
        (
            "mai@usagi: Permission denied (publickey,password).",
            "asks for a password or refuses your key: `ssh-copy-id usagi`",
        ),
        ("ssh: connect to host usagi port 22: Connection refused", "usagi refuses ssh: start sshd there"),
        ("ssh: connect to host usagi port 22: No route to host", "usagi does not answer to ssh"),
        ("ssh: connect to host usagi port 22: Connection timed out", "usagi does not answer to ssh"),
        ("something new", "ssh usagi failed: something new"),
        ("", "ssh usagi failed: it said nothing"),
    ],
)
def test_errors_of_ssh_become_sentences(said: str, sentence: str) -> None:
    found = remote.of_ssh("usagi", said)
    assert sentence in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("code", "said", "sentence"),
    [
        (127, "env: '/x/bin/python': No such file or directory", "/x/bin/python is not on usagi: install orch"),
        (1, "/x/bin/python: No module named slurm", "orch is not whole on usagi"),
        (1, "Traceback\nValueError: odd", "ended with 1: ValueError: odd"),
    ],
)
def test_a_host_without_orch_is_told(code: int, said: str, sentence: str) -> None:
    assert sentence in remote.of_agent("usagi", code, said, "/x/bin/python")


def test_gpus_by_the_driver_and_by_their_files() -> None:
    texts = ["Model: \t\t NVIDIA A100-SXM4-40GB\nDevice Minor: \t 3\n", "Device Minor: 0\n", "torn"]
    assert of_proc(texts) == (Gpu(device="/dev/nvidia0"), Gpu(device="/dev/nvidia3", model="NVIDIA A100-SXM4-40GB"))
    assert of_names(["nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"]) == (
        Gpu(device="/dev/nvidia2"),
        Gpu(device="/dev/nvidia10"),
    )
    assert kind("NVIDIA A100-SXM4-40GB") == "a100_sxm4_40gb"


def test_the_packages_that_apt_would_fetch() -> None:
    simulated = (
        "NOTE: This is only a simulation!\nInst libmunge2 (0.5.15-2 Debian:12 [amd64])\n"
        "Inst slurmd [22.05.7] (22.05.8-4 Debian:12 [amd64])\nConf libmunge2 (0.5.15-2 Debian:12 [amd64])\nInst\n"
    )
    assert names_of(simulated) == ["libmunge2", "slurmd"]


def test_nodes_that_do_not_take_part() -> None:
    states = node_states("usagi|idle|none\ntanuki|down*|Not responding\nkitsune|mixed|a|b\ntorn\n")
    assert states == {"usagi": ("idle", "none"), "tanuki": ("down*", "Not responding"), "kitsune": ("mixed", "a|b")}
    assert [away(state) for state, _ in states.values()] == [False, True, False]


def test_who_controls_the_lab() -> None:
    lab = a_lab(**THREE)
    cut = controllers.judge(lab, (False, True), Heartbeat(0, 3.0))
    assert "usagi is cut off" in cut and "tanuki stays in standby" in cut and "3 s ago" in cut
    assert "the backup on tanuki does not answer either" in controllers.judge(lab, (False, False), Heartbeat(0, 3.0))
    assert controllers.judge(lab, (False, True), Heartbeat(1, 3.0)) == ""
    assert "takes over within 60 s" in controllers.judge(lab, (False, True), Heartbeat(0, 300.0))
    assert "nor its backup on tanuki: `orch lab up`" in controllers.judge(lab, (False, False), None)
    alone = a_lab(usagi=THREE["usagi"])
    assert "cut off" in controllers.judge(alone, (False,), Heartbeat(0, 1.0))
    assert "cannot be reached: `orch lab up`" in controllers.judge(alone, (False,), None)


def test_two_controllers_that_are_in_charge_are_named() -> None:
    """Each writes its heartbeat into the same file."""
    lab = a_lab(**THREE)
    both = controllers.judge(lab, (True, True), Heartbeat(1, 3.0))
    assert "usagi and its backup tanuki are both in charge" in both and "`orch lab up`" in both
    assert both == controllers.split(lab, ["tanuki", "usagi"])
    assert controllers.judge(lab, (True, True), Heartbeat(0, 3.0)) == ""
    assert controllers.judge(lab, (True, True), Heartbeat(1, 300.0)) == "" == controllers.judge(lab, (True, True), None)
    assert controllers.judge(lab, (True, False), Heartbeat(1, 3.0)) == ""
    assert controllers.split(lab, ["usagi"]) == "" == controllers.split(lab, ["tanuki", "kitsune"])
    assert controllers.split(a_lab(usagi=THREE["usagi"]), ["usagi"]) == ""
    asks = [line for line in plan.conf_of(lab, lab.controllers()[1]).splitlines() if line.startswith("SlurmctldHost=")]
    assert len(asks) == 1 and asks[0].startswith("SlurmctldHost=tanuki(")
    assert plan.slurm_conf(lab).count("SlurmctldHost=") == 2


def test_how_old_a_heartbeat_may_be_follows_the_time_that_a_person_set() -> None:
    """SLURM writes one every quarter of it."""
    for extra, fresh, stale in (({}, 39.0, 41.0), ({"slurmctldtimeout": "120"}, 119.0, 131.0)):
        lab = msgspec.structs.replace(a_lab(**THREE), extra=extra)
        assert "cut off" in controllers.judge(lab, (False, True), Heartbeat(0, fresh))
        assert "takes over" in controllers.judge(lab, (False, True), Heartbeat(0, stale))
        assert f"SlurmctldTimeout={lab.controller_timeout_s}\n" in plan.slurm_conf(lab).replace(
            "slurmctld", "Slurmctld"
        )


def test_a_heartbeat_says_which_controller_wrote_it() -> None:
    """As SLURM 22.05's backup wrote it when it had taken over."""
    found = controllers.heartbeat(bytes.fromhex("000000006b08dc820000000000000001"), 2.0)
    assert found == Heartbeat(1, 2.0)


@given(st.binary(max_size=40), st.floats(0, 1e6))
def test_any_heartbeat_file_is_read_or_none(data: bytes, age: float) -> None:
    found = controllers.heartbeat(data, age)
    assert (found is None) == (len(data) < 16)


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(str))
def test_whatever_a_host_prints_is_an_answer_or_one_sentence(text: str) -> None:
    for shape in (Look, Answer, LabOrder, LookOrder):
        try:
            found = orders.read(text, shape)
        except ClusterError as error:
            assert "\n" not in str(error)
        else:
            assert isinstance(found, shape)


@given(st.text(max_size=300))
def test_whatever_lies_in_mountinfo_or_ssh_says_is_read(text: str) -> None:
    assert isinstance(mount(text, "/srv/lab"), str)
    assert "\n" not in remote.of_ssh("usagi", text)
    assert isinstance(of_proc([text]), tuple)
    assert isinstance(node_states(text), dict)
    assert isinstance(names_of(text), list)


def test_orders_come_back_as_they_were() -> None:
    order = LabOrder(
        lab=a_lab(**THREE), name="usagi", daemons=("slurmd",), targets=(("slurmd of tanuki", "10.0.0.2", 1),)
    )
    assert orders.read(orders.write(order), LabOrder) == order
