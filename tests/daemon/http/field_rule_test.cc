#include "daemon/http/field_rule.h"

#include <string>

#include "analytic/model_spec.h"
#include "daemon/catalog/workload_file.h"
#include "dsocr/v1/analytic.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/http/sample_services.h"

namespace dsocr::http {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

bool IsWellFormed(const v1::WorkloadOverrides& workload) {
  v1::DeepSeekOCRAnalyticRequest request;
  *request.mutable_workload() = workload;
  return IsWellFormed(request, SampleVocabulary());
}

void ExpectRules(const Descriptor& type) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const FieldDescriptor::CppType kind = field.cpp_type();
    if (kind == FieldDescriptor::CPPTYPE_MESSAGE) {
      ExpectRules(*field.message_type());
    } else if (kind != FieldDescriptor::CPPTYPE_BOOL && kind != FieldDescriptor::CPPTYPE_ENUM) {
      EXPECT_NE(FindRule(field), nullptr) << field.full_name();
    }
  }
}

TEST(FieldRuleTest, EveryNumberAndStringOfARequestHasOne) {
  ExpectRules(*v1::DeepSeekOCRAnalyticRequest::descriptor());
}

TEST(FieldRuleTest, EmptyRequestIsWellFormed) {
  EXPECT_TRUE(IsWellFormed(v1::DeepSeekOCRAnalyticRequest(), SampleVocabulary()));
}

TEST(FieldRuleTest, StringsAreHeldToNamesFormsAndLengths) {
  const auto with = [](auto change) {
    v1::DeepSeekOCRAnalyticRequest request;
    change(&request);
    return IsWellFormed(request, SampleVocabulary());
  };
  EXPECT_TRUE(with([](auto* r) { r->set_device("h200-sxm"); }));
  EXPECT_FALSE(with([](auto* r) { r->set_device("cuda:x"); }));
  EXPECT_FALSE(with([](auto* r) { r->set_dtype("fp8"); }));
  EXPECT_TRUE(with([](auto* r) { r->set_model_dir("/a b/\n"); }));
  EXPECT_FALSE(with([](auto* r) { r->set_model_dir("relative"); }));
  EXPECT_TRUE(with([](auto* r) { r->set_run_id(std::string(100, 'a')); }));
  EXPECT_FALSE(with([](auto* r) { r->set_run_id(std::string(101, 'a')); }));
  EXPECT_FALSE(with([](auto* r) { r->set_run_id("../escape"); }));
  EXPECT_FALSE(with([](auto* r) { r->set_run_id("a\n"); }));
  EXPECT_FALSE(with([](auto* r) { r->mutable_workload()->mutable_profile()->set_profile_id("p"); }));
}

// The limits of the rules are those of the services: one step beyond is refused there, by that field.
TEST(FieldRuleTest, WhatARuleForbidsTheServicesRefuse) {
  const Descriptor& type = *v1::WorkloadOverrides::descriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const FieldRule* rule = FindRule(field);
    if (rule == nullptr) {
      continue;
    }
    for (const int64_t outside : {rule->minimum - rule->multiple_of, rule->maximum + rule->multiple_of}) {
      v1::WorkloadOverrides workload;
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
        workload.GetReflection()->SetInt32(&workload, &field, static_cast<int32_t>(outside));
      } else {
        workload.GetReflection()->SetInt64(&workload, &field, outside);
      }
      EXPECT_FALSE(IsWellFormed(workload)) << field.name() << " = " << outside;
      const absl::Status refused =
          catalog::ResolveWorkload(analytic::ModelSpec{}, "dsocr-tiny-v1", workload, "").status();
      EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << field.name() << " = " << outside;
      EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr(field.name()));
    }
  }
}

}  // namespace
}  // namespace dsocr::http
