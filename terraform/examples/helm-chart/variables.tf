variable "api_key" {
  description = "The customer's key."
  type        = string
  sensitive   = true
}
