"""The protocol file against what is published, and against the modules that are made from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc
from tritonclient.grpc import model_config_pb2, service_pb2

from service.rpc.servicer import SERVICE, Servicer

ROOT = Path(__file__).resolve().parents[3]
PROTO = "service/rpc/open_inference.proto"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorProto:
    out = tmp_path_factory.mktemp("proto") / "descriptors"
    assert protoc.main(["", f"-I{ROOT}", f"--descriptor_set_out={out}", PROTO]) == 0
    return FileDescriptorSet.FromString(out.read_bytes()).file[0]


def published() -> Iterator[FileDescriptorProto]:
    for module in (service_pb2, model_config_pb2):
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        yield file


def messages(file: FileDescriptorProto) -> dict[str, DescriptorProto]:
    found: dict[str, DescriptorProto] = {}

    def walk(nested: Iterator[DescriptorProto], within: str) -> None:
        for message in nested:
            found[within + message.name] = message
            walk(iter(message.nested_type), f"{within}{message.name}.")

    walk(iter(file.message_type), "")
    return found


def test_every_field_is_that_of_the_published_protocol(ours: FileDescriptorProto) -> None:
    theirs = {name: message for file in published() for name, message in messages(file).items()}
    for name, message in messages(ours).items():
        fields = {field.name: field for field in theirs[name].field}
        for field in message.field:
            wanted = fields[field.name]
            assert (field.number, field.type, field.label) == (wanted.number, wanted.type, wanted.label), name


def test_every_value_and_every_call_is_that_of_the_published_protocol(ours: FileDescriptorProto) -> None:
    enums: dict[str, EnumDescriptorProto] = {enum.name: enum for file in published() for enum in file.enum_type}
    for enum in ours.enum_type:
        assert list(enum.value) == list(enums[enum.name].value)
    services: dict[str, ServiceDescriptorProto] = {s.name: s for file in published() for s in file.service}
    (service,) = ours.service
    assert f"inference.{service.name}" == SERVICE
    calls = {method.name: method for method in services[service.name].method}
    for method in service.method:
        wanted = calls[method.name]
        assert method.input_type == f".cellsense{wanted.input_type}"
        assert method.output_type == f".cellsense{wanted.output_type}"
        assert (method.client_streaming, method.server_streaming) == (wanted.client_streaming, wanted.server_streaming)


def test_every_call_of_the_protocol_has_a_handler(ours: FileDescriptorProto) -> None:
    servicer = Servicer(None, None, deadline_s=1.0, require_ready=bool, require_control=bool)  # type: ignore[arg-type]
    handlers = servicer.handlers()
    for method in ours.service[0].method:
        call = type("Details", (), {"method": f"/{SERVICE}/{method.name}"})()
        handler = handlers.service(call)
        assert (handler.request_streaming, handler.response_streaming) == (
            method.client_streaming,
            method.server_streaming,
        )


def test_modules_have_not_drifted_from_the_protocol(tmp_path: Path) -> None:
    assert protoc.main(["", f"-I{ROOT}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", PROTO]) == 0
    for made in (tmp_path / PROTO).parent.iterdir():
        assert made.read_text() == (ROOT / PROTO).with_name(made.name).read_text(), f"make {made.name} anew"
