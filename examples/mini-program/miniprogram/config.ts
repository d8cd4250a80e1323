/** The only line to edit: where your gateway is. The address must be https and listed under "request 合法域名". */
export const gatewayUrl = 'https://pay.example.com'
